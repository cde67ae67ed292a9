"""One line a request, for people and for programs, each line with the request's id; of prompts and secrets nothing."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from claude_gateway.log.lines import ConsoleLines, JsonLines
from tests.claude_gateway.scripted import CHAT, STREAM, ScriptedDispatcher
from tests.claude_gateway.web.conftest import Serve
from workers.errors import ErrorKind, WorkerError

KEY = {"authorization": "Bearer the-key", "x-request-id": "req-1"}
PATH = "/v1/chat/completions"
FAILED = WorkerError(ErrorKind.UPSTREAM, "broke", detail="ANTHROPIC_API_KEY=sk-ant-api03-of-the-owner")


@pytest.fixture(params=[ConsoleLines("%(levelname)s %(name)s: %(message)s"), JsonLines()], ids=["console", "json"])
def log(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What the log of the gateway says at its most talkative."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setFormatter(request.param)
    loggers = [logging.getLogger(name) for name in ("claude_gateway", "workers")]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    yield said
    for logger in loggers:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["whole", "stream"])
async def test_a_request_is_one_line_with_its_times_and_counts(
    serve: Serve, log: io.StringIO, body: dict[str, Any]
) -> None:
    client = await serve(api_key=SecretStr("the-key"))
    await (await client.post(PATH, json=body, headers=KEY)).read()
    await client.close()

    (line,) = log.getvalue().splitlines()

    if line.startswith("{"):
        told = json.loads(line)
        assert (told["request_id"], told["path"], told["status"], told["level"]) == ("req-1", PATH, 200, "info")
        assert (told["key_id"], told["dialect"], told["jobs"], told["result"]) == (
            "environment",
            "openai_chat",
            1,
            "ok",
        )
        assert (told["input"], told["output"]) == (3, 2)
        assert {"queue_ms", "first_token_ms", "total_ms", "model", "time"} <= told.keys()
    else:
        assert f"POST {PATH} 200 " in line
        assert "req-1 key_id=environment dialect=openai_chat" in line
        assert "input=3 output=2" in line


@pytest.mark.promise("keys.never-logged")
async def test_neither_a_prompt_nor_a_secret_is_in_the_log(serve: Serve, log: io.StringIO) -> None:
    client = await serve(ScriptedDispatcher.always(FAILED), api_key=SecretStr("the-key"))
    server = {"name": "one", "url": "https://127.0.0.1:1/", "headers": {"X-Token": "mcp-secret"}}
    for headers in ({"x-api-key": "a-wrong-key"}, {"cookie": "sid=a-wrong-cookie"}, KEY):
        await client.post(f"{PATH}?key=query-key", json={**CHAT, "user": "prompt-of-ann"}, headers=headers)
        await client.post(PATH, json={"model": "gpt-\nforged", "messages": "prompt-of-ann"}, headers=headers)
        await client.get("/v1beta/models?key=query-key", headers=headers)
        await client.post("/v1/mcp/servers", json=server, headers=headers)
    await client.close()

    said = log.getvalue()

    assert "req-1" in said
    assert "job failed" in said
    hidden = ["the-key", "wrong", "query-key", "prompt-of-ann", "mcp-secret", "sk-ant", "of-the-owner"]
    assert [word for word in hidden if word in said] == []
    assert not any(line.startswith("forged") for line in said.splitlines())


async def test_every_line_of_a_request_has_its_id(serve: Serve, log: io.StringIO) -> None:
    client = await serve(ScriptedDispatcher.always(FAILED), api_key=SecretStr("the-key"))
    await client.post(PATH, json=CHAT, headers=KEY)
    await client.close()

    lines = log.getvalue().splitlines()

    assert len(lines) == 2
    assert all("req-1" in line for line in lines)
