"""Images and PDFs that clients name by URL: the gateway fetches them, if enabled, before the job waits."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from claude_gateway.devtools.cli_contract.sample_media import encode_base64, make_pdf, make_png
from tests.claude_gateway.remote_server import INTERNAL_ADDRESS, RemoteServer, create_fetcher, run_remote_server
from tests.claude_gateway.scripted import FINISHED, MODEL, STARTED, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import Client, Serve
from workers.core.job import Block, Document, Image, ToolResult

PNG = make_png(red=7)


@pytest.fixture
async def remote_server() -> AsyncIterator[RemoteServer]:
    async with run_remote_server() as server:
        server.set_response("/a.png", PNG)
        server.set_response("/a.pdf", make_pdf())
        server.set_response("/a.html", b"<html>")
        yield server


class MediaGateway:
    """A gateway that fetches URLs, with a remote server and requests in two dialects."""

    def __init__(self, serve: Serve, remote_server: RemoteServer) -> None:
        self._serve = serve
        self.remote_server = remote_server
        self.worker_source = ScriptedWorkerSource.repeating(STARTED, FINISHED)
        self.client: Client | None = None

    async def ask(self, path: str, content: list[Any], **changes: Any) -> tuple[int, Any]:
        if self.client is None:
            settings = {"fetch_remote_media": True, "fetcher": create_fetcher(self.remote_server)} | changes
            self.client = await self._serve(self.worker_source, **settings)
        body = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": content}]}
        response = await self.client.post(path, json=body)
        return response.status, await response.json()

    async def chat(self, *urls: str, **changes: Any) -> tuple[int, Any]:
        return await self.ask("/v1/chat/completions", [image_url(url) for url in urls], **changes)

    async def messages(self, *urls: str, kind: str = "image", **changes: Any) -> tuple[int, Any]:
        blocks = [{"type": kind, "source": {"type": "url", "url": url}} for url in urls]
        return await self.ask("/v1/messages", blocks, **changes)

    def job_blocks(self) -> list[Block]:
        """Return the blocks of the only turn of the last job."""
        return list(self.worker_source.jobs[-1].turns[0].blocks)


@pytest.fixture
async def gateway(serve: Serve, remote_server: RemoteServer) -> MediaGateway:
    return MediaGateway(serve, remote_server)


def image_url(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def image(raw: bytes = PNG) -> Image:
    return Image({"type": "base64", "media_type": "image/png", "data": encode_base64(raw)})


def document(**fields: str) -> Document:
    return Document(
        {"source": {"type": "base64", "media_type": "application/pdf", "data": encode_base64(make_pdf())}, **fields}
    )


@pytest.mark.promise("fetch.off")
async def test_rejects_urls_by_default_and_names_the_setting(gateway: MediaGateway) -> None:
    url = gateway.remote_server.url("/a.png")

    status, chat = await gateway.chat(url, fetch_remote_media=False)
    assert (status, chat["error"]["param"]) == (400, "messages.0.content.0.image_url")
    assert "FETCH_REMOTE_MEDIA" in chat["error"]["message"]

    status, messages = await gateway.messages(url)
    assert (status, messages["type"], messages["error"]["type"]) == (400, "error", "invalid_request_error")
    assert "messages.0.content.0.source" in messages["error"]["message"]
    assert "FETCH_REMOTE_MEDIA" in messages["error"]["message"]
    assert (gateway.remote_server.requests, gateway.worker_source.jobs) == ([], [])


async def test_fetched_media_become_part_of_the_job(gateway: MediaGateway) -> None:
    urls = [gateway.remote_server.url(path) for path in ("/a.png", "/a.pdf")]

    assert (await gateway.chat(*urls))[0] == 200
    assert gateway.job_blocks() == [image(), document()]
    assert (await gateway.messages(*urls, kind="document"))[0] == 200
    assert gateway.job_blocks() == [image(), document()]


GEMINI = f"/v1beta/models/{MODEL}:generateContent"


@pytest.mark.parametrize("kind", ["image", "document"])
@pytest.mark.parametrize("path", ["/v1/responses", GEMINI], ids=["responses", "gemini"])
async def test_other_dialects_fetch_media_and_detect_the_file_type(gateway: MediaGateway, path: str, kind: str) -> None:
    url = gateway.remote_server.url("/a.png" if kind == "image" else "/a.pdf")
    client = await gateway._serve(
        gateway.worker_source, fetch_remote_media=True, fetcher=create_fetcher(gateway.remote_server)
    )

    def body(url: str) -> dict[str, Any]:
        if path == GEMINI:
            part = {"fileData": {"fileUri": url}} if url.startswith("https") else {"inlineData": inline_data(url)}
            return {"contents": [{"parts": [part]}]}
        part = {"type": "input_image", "image_url": url} if kind == "image" else {"type": "input_file", "file_url": url}
        return {"model": MODEL, "store": False, "input": [{"role": "user", "content": [part]}]}

    assert (await client.post(path, json=body(url))).status == 200
    assert gateway.job_blocks() == [image() if kind == "image" else document()]
    for bad_url in (gateway.remote_server.url("/nothing"), f"data:image/gif;base64,{encode_base64(PNG)}"):
        response = await client.post(path, json=body(bad_url))
        assert response.status == 400
        assert ("input.0.content.0" if path != GEMINI else "contents.0.parts.0") in await response.text()


def inline_data(url: str) -> dict[str, str]:
    head, _, data = url.partition(",")
    return {"mimeType": head[5:].partition(";")[0], "data": data}


async def test_fetched_document_keeps_its_title_and_tool_result_its_image(gateway: MediaGateway) -> None:
    source = {"type": "url", "url": gateway.remote_server.url("/a.pdf")}
    picture = {"type": "image", "source": {"type": "url", "url": gateway.remote_server.url("/a.png")}}
    messages = [
        {"role": "user", "content": [{"type": "document", "source": source, "title": "Bill", "context": "May"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [picture]}]},
    ]
    client = await gateway._serve(
        gateway.worker_source, fetch_remote_media=True, fetcher=create_fetcher(gateway.remote_server)
    )

    assert (await client.post("/v1/messages", json={"model": MODEL, "messages": messages})).status == 200

    turns = gateway.worker_source.jobs[-1].turns
    assert turns[0].blocks == (document(title="Bill", context="May"),)
    assert turns[2].blocks == (ToolResult("t", (image(),)),)


async def test_fetches_the_same_url_once_per_request(gateway: MediaGateway) -> None:
    url = gateway.remote_server.url("/a.png")

    await gateway.chat(url, url, url)

    assert gateway.job_blocks() == [image()] * 3
    assert len(gateway.remote_server.requests) == 1


@pytest.mark.promise("fetch.uniform-error")
async def test_response_does_not_distinguish_rejected_and_unreachable_urls(gateway: MediaGateway) -> None:
    port = gateway.remote_server.port
    urls = (
        f"https://{INTERNAL_ADDRESS}:{port}/a.png",  # internal and reachable
        f"https://inside.test:{port}/a.png",
        f"https://inside.test:{port}/nothing",
        f"https://{INTERNAL_ADDRESS}:1/a.png",  # internal and unreachable
        "https://no-such-name.test/a.png",
        gateway.remote_server.url("/nothing"),
        gateway.remote_server.set_redirect("/on", f"https://{INTERNAL_ADDRESS}:{port}/a.png"),
    )
    async with run_remote_server(INTERNAL_ADDRESS, port) as internal_server:
        internal_server.set_response("/a.png", PNG)
        errors = [await gateway.chat(url) for url in urls]

    assert all(error == errors[0] for error in errors)
    assert errors[0][0] == 400
    assert errors[0][1]["error"]["param"] == "messages.0.content.0.image_url"
    assert (internal_server.requests, gateway.worker_source.jobs) == ([], [])


async def test_rejects_fetched_file_that_is_not_an_image_without_quoting_it(gateway: MediaGateway) -> None:
    status, body = await gateway.chat(gateway.remote_server.url("/a.png"), gateway.remote_server.url("/a.html"))

    assert (status, body["error"]["param"]) == (400, "messages.0.content.1.image_url")
    assert "html" not in str(body)


async def test_fetched_bytes_count_toward_the_request_size(gateway: MediaGateway) -> None:
    urls = [
        gateway.remote_server.set_response(f"/{number}.png", make_png(red=number, size_bytes=3_000))
        for number in range(4)
    ]

    assert (await gateway.chat(*urls[:2], max_request_size=10_000))[0] == 200
    status, body = await gateway.chat(*urls)

    assert status == 400
    assert "MAX_REQUEST_SIZE" in body["error"]["message"]


async def test_rejects_more_than_twenty_urls(gateway: MediaGateway) -> None:
    url = gateway.remote_server.url("/a.png")

    assert (await gateway.chat(*[url] * 20))[0] == 200
    status, body = await gateway.chat(*[url] * 21)

    assert (status, body["error"]["param"]) == (400, "messages.0.content.20.image_url")


async def test_warns_of_images_that_claude_code_scales_down(gateway: MediaGateway) -> None:
    large = make_png(2_001, 1)
    url = gateway.remote_server.set_response("/large.png", large)
    for part in (image_url(url), image_url(f"data:image/png;base64,{encode_base64(large)}")):
        await gateway.chat()  # creates the client
        assert gateway.client is not None
        for stream in (False, True):
            body = {"model": MODEL, "stream": stream, "messages": [{"role": "user", "content": [part]}]}
            response = await gateway.client.post("/v1/chat/completions", json=body)
            assert "2000 pixels" in response.headers["x-gateway-warnings"]
