"""Images and PDFs that callers name by URL: fetched where that is on, and in the job before it waits for a worker."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from claude_gateway.cli_facts.pictures import base64, pdf, png
from tests.claude_gateway.scripted import FINISHED, MODEL, STARTED, ScriptedDispatcher
from tests.claude_gateway.web.conftest import Client, Serve
from tests.claude_gateway.web.strangers import INSIDE, Stranger, fetcher_to, stranger
from workers.job import Block, Document, Image, ToolResult

PICTURE = png(colour=7)


@pytest.fixture
async def outside() -> AsyncIterator[Stranger]:
    async with stranger() as server:
        server.gives("/a.png", PICTURE)
        server.gives("/a.pdf", pdf())
        server.gives("/a.html", b"<html>")
        yield server


class Both:
    """A gateway that fetches, and what becomes of a question in each dialect."""

    def __init__(self, serve: Serve, outside: Stranger) -> None:
        self._serve = serve
        self.outside = outside
        self.dispatcher = ScriptedDispatcher.always(STARTED, FINISHED)
        self.client: Client | None = None

    async def ask(self, path: str, content: list[Any], **changes: Any) -> tuple[int, Any]:
        if self.client is None:
            settings = {"fetch_remote_images": True, "fetcher": fetcher_to(self.outside)} | changes
            self.client = await self._serve(self.dispatcher, **settings)
        body = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": content}]}
        response = await self.client.post(path, json=body)
        return response.status, await response.json()

    async def chat(self, *urls: str, **changes: Any) -> tuple[int, Any]:
        return await self.ask("/v1/chat/completions", [image_url(url) for url in urls], **changes)

    async def messages(self, *urls: str, kind: str = "image", **changes: Any) -> tuple[int, Any]:
        blocks = [{"type": kind, "source": {"type": "url", "url": url}} for url in urls]
        return await self.ask("/v1/messages", blocks, **changes)

    def asked(self) -> list[Block]:
        """What the job's only turn holds."""
        return list(self.dispatcher.jobs[-1].turns[0].blocks)


@pytest.fixture
async def both(serve: Serve, outside: Stranger) -> Both:
    return Both(serve, outside)


def image_url(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def image(raw: bytes = PICTURE) -> Image:
    return Image({"type": "base64", "media_type": "image/png", "data": base64(raw)})


def paper(**more: str) -> Document:
    return Document({"source": {"type": "base64", "media_type": "application/pdf", "data": base64(pdf())}, **more})


@pytest.mark.promise("fetch.off")
async def test_it_is_off_and_the_refusal_names_the_setting_in_both_dialects(both: Both) -> None:
    url = both.outside.url("/a.png")

    status, chat = await both.chat(url, fetch_remote_images=False)
    assert (status, chat["error"]["param"]) == (400, "messages.0.content.0.image_url")
    assert "FETCH_REMOTE_IMAGES" in chat["error"]["message"]

    status, messages = await both.messages(url)
    assert (status, messages["type"], messages["error"]["type"]) == (400, "error", "invalid_request_error")
    assert "messages.0.content.0.source" in messages["error"]["message"]
    assert "FETCH_REMOTE_IMAGES" in messages["error"]["message"]
    assert (both.outside.asked, both.dispatcher.jobs) == ([], [])


async def test_what_is_fetched_stands_in_the_job_in_both_dialects(both: Both) -> None:
    urls = [both.outside.url(path) for path in ("/a.png", "/a.pdf")]

    assert (await both.chat(*urls))[0] == 200
    assert both.asked() == [image(), paper()]
    assert (await both.messages(*urls, kind="document"))[0] == 200
    assert both.asked() == [image(), paper()]


GEMINI = f"/v1beta/models/{MODEL}:generateContent"


@pytest.mark.parametrize("kind", ["image", "document"])
@pytest.mark.parametrize("path", ["/v1/responses", GEMINI], ids=["responses", "gemini"])
async def test_the_other_dialects_fetch_too_and_know_a_file_by_its_first_bytes(
    both: Both, path: str, kind: str
) -> None:
    url = both.outside.url("/a.png" if kind == "image" else "/a.pdf")
    client = await both._serve(both.dispatcher, fetch_remote_images=True, fetcher=fetcher_to(both.outside))

    def body(url: str) -> dict[str, Any]:
        if path == GEMINI:
            part = {"fileData": {"fileUri": url}} if url.startswith("https") else {"inlineData": blob(url)}
            return {"contents": [{"parts": [part]}]}
        part = {"type": "input_image", "image_url": url} if kind == "image" else {"type": "input_file", "file_url": url}
        return {"model": MODEL, "store": False, "input": [{"role": "user", "content": [part]}]}

    assert (await client.post(path, json=body(url))).status == 200
    assert both.asked() == [image() if kind == "image" else paper()]
    for bad in (both.outside.url("/nothing"), f"data:image/gif;base64,{base64(PICTURE)}"):
        response = await client.post(path, json=body(bad))
        assert response.status == 400
        assert ("input.0.content.0" if path != GEMINI else "contents.0.parts.0") in await response.text()


def blob(url: str) -> dict[str, str]:
    head, _, data = url.partition(",")
    return {"mimeType": head[5:].partition(";")[0], "data": data}


async def test_a_document_keeps_its_title_and_context_and_a_tool_result_its_image(both: Both) -> None:
    source = {"type": "url", "url": both.outside.url("/a.pdf")}
    picture = {"type": "image", "source": {"type": "url", "url": both.outside.url("/a.png")}}
    messages = [
        {"role": "user", "content": [{"type": "document", "source": source, "title": "Bill", "context": "May"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [picture]}]},
    ]
    client = await both._serve(both.dispatcher, fetch_remote_images=True, fetcher=fetcher_to(both.outside))

    assert (await client.post("/v1/messages", json={"model": MODEL, "messages": messages})).status == 200

    turns = both.dispatcher.jobs[-1].turns
    assert turns[0].blocks == (paper(title="Bill", context="May"),)
    assert turns[2].blocks == (ToolResult("t", (image(),)),)


async def test_the_same_url_is_fetched_once_for_a_request(both: Both) -> None:
    url = both.outside.url("/a.png")

    await both.chat(url, url, url)

    assert both.asked() == [image()] * 3
    assert len(both.outside.asked) == 1


@pytest.mark.promise("fetch.no-oracle")
async def test_the_answer_does_not_tell_the_refused_from_the_unreachable(both: Both) -> None:
    port = both.outside.port
    urls = (
        f"https://{INSIDE}:{port}/a.png",  # there, and inside
        f"https://inside.test:{port}/a.png",
        f"https://inside.test:{port}/nothing",
        f"https://{INSIDE}:1/a.png",  # inside, and not there
        "https://no-such-name.test/a.png",
        both.outside.url("/nothing"),
        both.outside.sends_on("/on", f"https://{INSIDE}:{port}/a.png"),
    )
    async with stranger(INSIDE, port) as inside:
        inside.gives("/a.png", PICTURE)
        errors = [await both.chat(url) for url in urls]

    assert all(error == errors[0] for error in errors)
    assert errors[0][0] == 400
    assert errors[0][1]["error"]["param"] == "messages.0.content.0.image_url"
    assert (inside.asked, both.dispatcher.jobs) == ([], [])


async def test_what_is_no_image_is_refused_and_nothing_of_it_repeated(both: Both) -> None:
    status, body = await both.chat(both.outside.url("/a.png"), both.outside.url("/a.html"))

    assert (status, body["error"]["param"]) == (400, "messages.0.content.1.image_url")
    assert "html" not in str(body)


async def test_all_that_is_fetched_counts_against_the_size_of_a_request(both: Both) -> None:
    urls = [both.outside.gives(f"/{number}.png", png(colour=number, size=3_000)) for number in range(4)]

    assert (await both.chat(*urls[:2], max_request_size=10_000))[0] == 200
    status, body = await both.chat(*urls)

    assert status == 400
    assert "MAX_REQUEST_SIZE" in body["error"]["message"]


async def test_a_request_may_name_twenty_urls(both: Both) -> None:
    url = both.outside.url("/a.png")

    assert (await both.chat(*[url] * 20))[0] == 200
    status, body = await both.chat(*[url] * 21)

    assert (status, body["error"]["param"]) == (400, "messages.0.content.20.image_url")


async def test_what_claude_code_does_to_an_image_is_said_beside_the_answer(both: Both) -> None:
    large = png(2_001, 1)
    url = both.outside.gives("/large.png", large)
    for part in (image_url(url), image_url(f"data:image/png;base64,{base64(large)}")):
        await both.chat()  # makes the client
        assert both.client is not None
        for stream in (False, True):
            body = {"model": MODEL, "stream": stream, "messages": [{"role": "user", "content": [part]}]}
            response = await both.client.post("/v1/chat/completions", json=body)
            assert "2000 pixels" in response.headers["x-gateway-warnings"]
