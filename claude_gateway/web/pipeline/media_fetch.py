"""Step that fetches remote media. The gateway fetches the URLs in a job before the job waits for a worker."""

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace

from claude_gateway.core.errors import bad_request
from claude_gateway.dialects.common.content import media
from claude_gateway.dialects.common.content.remote_media import (
    FetchedMedia,
    RemoteMedia,
    find_remote_media,
    replace_remote_media,
)
from claude_gateway.net.fetcher import FetchBudget, FetchError, FetchTooLargeError
from claude_gateway.web.context.client_request import ClientRequest
from workers.core.job import ChatJob
from workers.core.message_blocks import is_plain_text
from workers.host.large_job_threads import run_for_job

_MAX_URLS = 20


@dataclass(frozen=True, slots=True)
class ResolvedMedia:
    """A job that contains the content of all its media.

    Attributes:
        job: The job.
        warnings: Warnings about the changes that Claude Code will make to images and documents.
        fetched_media: The media that the gateway fetched.
    """

    job: ChatJob
    warnings: tuple[str, ...]
    fetched_media: FetchedMedia


async def resolve_remote_media(client: ClientRequest, job: ChatJob) -> ResolvedMedia:
    """Fetch the media that a job names by URL, and put their content into the job.

    This is the last step before the job runs, so that the gateway fetches nothing for a key that lacks a permission.

    Raises:
        ApiError: 400 if the gateway cannot fetch a URL, or if Claude does not accept the media. The error contains the
            field path of the URL.
    """
    if is_plain_text(job.turns):
        return ResolvedMedia(job, (), {})
    remote_media = await run_for_job(job, find_remote_media, job)
    fetched = await _fetch_all(client, remote_media) if remote_media else {}
    if fetched:
        job = replace(job, turns=replace_remote_media(job.turns, fetched))
    warnings = await run_for_job(job, media.check_media, job.turns, job.model)
    return ResolvedMedia(job, tuple(warnings), fetched)


async def _fetch_all(client: ClientRequest, remote_media: Sequence[RemoteMedia]) -> FetchedMedia:
    settings = client.state.settings
    if not settings.fetch_remote_media:
        raise bad_request(
            remote_media[0].field_path,
            "this gateway does not fetch URLs (FETCH_REMOTE_MEDIA is off); send the image or PDF in base64",
        )
    if len(remote_media) > _MAX_URLS:
        raise bad_request(
            remote_media[_MAX_URLS].field_path, f"the gateway fetches at most {_MAX_URLS} URLs for a request"
        )
    urls = list(dict.fromkeys(remote.url for remote in remote_media))
    # Media in the request body may have the same total size, because base64 turns three bytes into four.
    budget = FetchBudget(settings.max_request_size * 3 // 4)
    results = await asyncio.gather(
        *(client.state.fetcher.fetch(url, budget, client.key.id) for url in urls), return_exceptions=True
    )
    results_by_url = dict(zip(urls, results, strict=True))
    return {
        remote: media.from_base64(
            _encode_base64(results_by_url[remote.url], remote.field_path),
            "",
            remote.field_path,
            dict(remote.extra_fields),
        )
        for remote in remote_media
    }


def _encode_base64(result: bytes | BaseException, field_path: str) -> str:
    match result:
        case bytes():
            return b64encode(result).decode()
        case FetchError():
            raise bad_request(field_path, "the gateway could not fetch this URL")
        case FetchTooLargeError():
            raise bad_request(field_path, "the file at this URL is too large (MAX_REQUEST_SIZE)")
    raise result
