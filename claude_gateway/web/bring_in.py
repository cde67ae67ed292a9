"""What a job names by URL is fetched before it waits for a worker, whatever its dialect."""

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace

from aiohttp import web

from claude_gateway.prompt import media
from claude_gateway.prompt.conversation import bad
from claude_gateway.prompt.remote_media import Fetched, Remote, remotes, with_fetched
from claude_gateway.web.fetch import Budget, NotFetched, TooMuch
from claude_gateway.web.parsed import Parsed
from claude_gateway.web.parts import CALLER, PARTS
from workers.job import ChatJob
from workers.large_jobs import over

_MOST_URLS = 20


@dataclass(frozen=True, slots=True)
class Ready:
    """A job with everything in it; `fetched` is what was not."""

    job: ChatJob
    warnings: tuple[str, ...]
    fetched: Fetched


async def bring_in(request: web.Request, parsed: Parsed) -> Ready:
    """The job with what it names by URL; the warnings also say what Claude Code will do to its images and documents.

    Raises `ApiError` 400 naming the place of a URL that leads to nothing which Claude takes.
    """
    job = parsed.job
    wanted = await over(job, remotes, job)
    fetched = await _fetched(request, wanted) if wanted else {}
    if fetched:
        job = replace(job, turns=with_fetched(job.turns, fetched))
    told = await over(job, media.review, job.turns, job.model)
    return Ready(job, (*parsed.warnings, *told), fetched)


async def _fetched(request: web.Request, wanted: Sequence[Remote]) -> Fetched:
    settings = request.app[PARTS].settings
    if not settings.fetch_remote_images:
        raise bad(
            wanted[0].place,
            "this gateway fetches nothing by URL (FETCH_REMOTE_IMAGES is off); send the image or PDF itself, in base64",
        )
    if len(wanted) > _MOST_URLS:
        raise bad(wanted[_MOST_URLS].place, f"at most {_MOST_URLS} URLs are fetched for a request")
    urls = list(dict.fromkeys(remote.url for remote in wanted))
    # In base64 it would have been a part of the request.
    budget = Budget(settings.max_request_size * 3 // 4)
    found = await asyncio.gather(
        *(request.app[PARTS].fetcher.fetch(url, budget, request[CALLER].id) for url in urls), return_exceptions=True
    )
    bodies = dict(zip(urls, found, strict=True))
    return {
        remote: media.read(_base64(bodies[remote.url], remote.place), "", remote.place, dict(remote.more))
        for remote in wanted
    }


def _base64(body: bytes | BaseException, place: str) -> str:
    match body:
        case bytes():
            return b64encode(body).decode()
        case NotFetched():
            raise bad(place, "nothing could be fetched from this URL")
        case TooMuch():
            raise bad(place, "what the URL leads to is too large to be sent on (MAX_REQUEST_SIZE)")
    raise body
