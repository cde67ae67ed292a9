"""Access log: one line for each request with its id, as text or JSON, without prompts and secrets."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from claude_gateway.observability.log.formatters import ConsoleFormatter, JsonFormatter
from tests.claude_gateway.scripted import CHAT_BODY, STREAM_BODY, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import Serve
from workers.core.errors import ErrorKind, WorkerError

HEADERS = {"authorization": "Bearer the-key", "x-request-id": "req-1"}
PATH = "/v1/chat/completions"
FAILURE = WorkerError(ErrorKind.UPSTREAM_ERROR, "broke", detail="ANTHROPIC_API_KEY=sk-ant-api03-of-the-operator")


@pytest.fixture(
    params=[ConsoleFormatter("%(levelname)s %(name)s: %(message)s"), JsonFormatter()], ids=["console", "json"]
)
def log(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """Return the log of the gateway at the level DEBUG."""
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    handler.setFormatter(request.param)
    loggers = [logging.getLogger(name) for name in ("claude_gateway", "workers")]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    yield output
    for logger in loggers:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


@pytest.mark.parametrize("body", [CHAT_BODY, STREAM_BODY], ids=["whole", "stream"])
async def test_logs_a_request_in_one_line_with_times_and_counts(
    serve: Serve, log: io.StringIO, body: dict[str, Any]
) -> None:
    client = await serve(api_key=SecretStr("the-key"))
    await (await client.post(PATH, json=body, headers=HEADERS)).read()
    await client.close()

    (line,) = log.getvalue().splitlines()

    if line.startswith("{"):
        record = json.loads(line)
        assert (record["request_id"], record["path"], record["status"], record["level"]) == ("req-1", PATH, 200, "info")
        assert (record["key_id"], record["dialect"], record["jobs"], record["result"]) == (
            "environment",
            "openai_chat",
            1,
            "ok",
        )
        assert (record["input_tokens"], record["output_tokens"]) == (3, 2)
        assert {"queue_wait_ms", "time_to_first_token_ms", "duration_ms", "model", "time"} <= record.keys()
    else:
        assert f"POST {PATH} 200 " in line
        assert "req-1 key_id=environment dialect=openai_chat" in line
        assert "input_tokens=3 output_tokens=2" in line


@pytest.mark.promise("keys.never-logged")
async def test_logs_neither_prompt_nor_secret(serve: Serve, log: io.StringIO) -> None:
    client = await serve(ScriptedWorkerSource.repeating(FAILURE), api_key=SecretStr("the-key"))
    server = {"name": "one", "url": "https://127.0.0.1:1/", "headers": {"X-Token": "mcp-secret"}}
    for headers in ({"x-api-key": "a-wrong-key"}, {"cookie": "sid=a-wrong-cookie"}, HEADERS):
        await client.post(f"{PATH}?key=query-key", json={**CHAT_BODY, "user": "prompt-of-ann"}, headers=headers)
        await client.post(PATH, json={"model": "gpt-\nforged", "messages": "prompt-of-ann"}, headers=headers)
        await client.get("/v1beta/models?key=query-key", headers=headers)
        await client.post("/v1/mcp/servers", json=server, headers=headers)
    await client.close()

    output = log.getvalue()

    assert "req-1" in output
    assert "job failed" in output
    secrets = ["the-key", "wrong", "query-key", "prompt-of-ann", "mcp-secret", "sk-ant", "of-the-operator"]
    assert [secret for secret in secrets if secret in output] == []
    assert not any(line.startswith("forged") for line in output.splitlines())


async def test_every_log_line_of_a_request_has_its_id(serve: Serve, log: io.StringIO) -> None:
    client = await serve(ScriptedWorkerSource.repeating(FAILURE), api_key=SecretStr("the-key"))
    await client.post(PATH, json=CHAT_BODY, headers=HEADERS)
    await client.close()

    lines = log.getvalue().splitlines()

    assert len(lines) == 2
    assert all("req-1" in line for line in lines)
