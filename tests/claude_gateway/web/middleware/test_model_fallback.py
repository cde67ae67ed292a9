"""Replacement of a model that the upstream rejects."""

from typing import Any

import pytest

from tests.claude_gateway.scripted import CHAT_BODY, HELLO_EVENTS, MODEL, STREAM_BODY, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import Serve
from workers.core.errors import ErrorKind, WorkerError

SONNET = "claude-sonnet-5-5"
CLI_MODELS = [{"value": "sonnet", "resolvedModel": SONNET}]
MODEL_REJECTED = WorkerError(ErrorKind.MODEL_NOT_FOUND, "The upstream does not know this model.")
WARNING = f"model: changed from {MODEL} to {SONNET} (Anthropic retired it on 2026-11-30)"


@pytest.mark.promise("models.retired")
@pytest.mark.parametrize("body", [CHAT_BODY, STREAM_BODY, {**CHAT_BODY, "n": 2}], ids=["whole", "stream", "several"])
async def test_replaces_rejected_model_and_adds_a_warning(serve: Serve, body: dict[str, Any]) -> None:
    count = body.get("n", 1)
    worker_source = ScriptedWorkerSource([*[[MODEL_REJECTED]] * count, *[HELLO_EVENTS] * 3 * count])
    client = await serve(worker_source, cli_models=CLI_MODELS)

    for _ in range(2):
        response = await client.post("/v1/chat/completions", json=body)
        assert (response.status, response.headers["x-claude-model"]) == (200, SONNET)
        assert response.headers["x-gateway-warnings"] == WARNING
        assert MODEL in await response.text()  # the requested name
    # The upstream rejects the model once; later requests do not use it.
    assert [job.model for job in worker_source.jobs] == [*[MODEL] * count, *[SONNET] * 2 * count]


async def test_keeps_other_warnings(serve: Serve) -> None:
    client = await serve(ScriptedWorkerSource([[MODEL_REJECTED], HELLO_EVENTS]), cli_models=CLI_MODELS)

    response = await client.post("/v1/chat/completions", json={**CHAT_BODY, "seed": 1})

    assert response.headers["x-gateway-warnings"] == f"{WARNING}; seed: ignored (Claude has no such parameter)"


async def test_model_without_replacement_is_a_404(serve: Serve) -> None:
    worker_source = ScriptedWorkerSource.repeating(MODEL_REJECTED)
    client = await serve(worker_source)

    response = await client.post("/v1/chat/completions", json={**CHAT_BODY, "model": "claude-of-tomorrow"})

    assert (response.status, (await response.json())["error"]["code"]) == (404, "model_not_found")
    assert len(worker_source.jobs) == 1


async def test_rejected_replacement_is_a_404_without_another_attempt(serve: Serve) -> None:
    worker_source = ScriptedWorkerSource.repeating(MODEL_REJECTED)
    client = await serve(worker_source, cli_models=CLI_MODELS)

    response = await client.post("/v1/chat/completions", json=CHAT_BODY)

    assert response.status == 404
    assert [job.model for job in worker_source.jobs] == [MODEL, SONNET]
