"""The gateway fetches nothing for a key that may not have the reply, in any dialect."""

from collections.abc import Callable
from typing import Any

import pytest

from claude_gateway.auth.key_store import KeyStore
from claude_gateway.devtools.cli_contract.sample_media import make_png
from tests.claude_gateway.remote_server import create_fetcher, run_remote_server
from tests.claude_gateway.scripted import FINISHED, MODEL, STARTED, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import Serve
from tests.claude_gateway.web.endpoints.test_admin_keys import API_KEY, bearer, create_key

OTHER_MODEL = "claude-opus-4-5-20251101"
BuildBody = Callable[[str, str], dict[str, Any]]


def chat_body(model: str, url: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": [_image_url(url)]}]}


def chat_body_of_responses(model: str, url: str) -> dict[str, Any]:
    return {"model": model, "input": [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]}


def messages_body(model: str, url: str) -> dict[str, Any]:
    image = {"type": "image", "source": {"type": "url", "url": url}}
    return {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": [image]}]}


def gemini_body(_: str, url: str) -> dict[str, Any]:
    return {"contents": [{"parts": [{"fileData": {"fileUri": url}}]}]}


def _image_url(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


DIALECTS = [
    pytest.param("/v1/chat/completions", chat_body, id="chat"),
    pytest.param("/v1/chat/completions", lambda *args: {**chat_body(*args), "n": 2}, id="chat-choices"),
    pytest.param("/v1/chat/completions", chat_body_of_responses, id="chat-from-responses"),
    pytest.param("/v1/responses", chat_body_of_responses, id="responses"),
    pytest.param(
        "/v1/responses", lambda *args: {**chat_body_of_responses(*args), "background": True}, id="responses-background"
    ),
    pytest.param("/v1/messages", messages_body, id="messages"),
    pytest.param("/v1beta/models/{model}:generateContent", gemini_body, id="gemini"),
    pytest.param("/v1beta/models/{model}:streamGenerateContent", gemini_body, id="gemini-stream"),
]


@pytest.mark.promise("fetch.after-authorization")
@pytest.mark.parametrize(("path", "build_body"), DIALECTS)
async def test_fetches_no_media_for_a_key_without_permission(
    serve: Serve, keys: KeyStore, path: str, build_body: BuildBody
) -> None:
    worker_source = ScriptedWorkerSource.repeating(STARTED, FINISHED)
    async with run_remote_server() as image_server:
        url = image_server.set_response("/a.png", make_png(red=7))
        fetcher = create_fetcher(image_server)
        client = await serve(worker_source, keys=keys, api_key=API_KEY, fetch_remote_media=True, fetcher=fetcher)
        only_model = bearer(await create_key(client, scopes=["chat", "tools"], models=[MODEL]))
        without_tools = bearer(await create_key(client, scopes=["chat"]))

        wrong_model = await client.post(
            path.format(model=OTHER_MODEL), json=build_body(OTHER_MODEL, url), headers=only_model
        )
        body = {**build_body(MODEL, url), "enable_tools": True}
        wrong_scope = await client.post(path.format(model=MODEL), json=body, headers=without_tools)

        assert (wrong_model.status, wrong_scope.status) == (403, 403)
        assert image_server.requests == []
        assert worker_source.jobs == []

        # The same request of a key with permission fetches the image.
        body = build_body(MODEL, url) | ({"background": False, "store": False} if "responses" in path else {})
        allowed = await client.post(path.format(model=MODEL), json=body, headers=only_model)
        assert allowed.status == 200
        assert [request.path for request in image_server.requests] == ["/a.png"]
