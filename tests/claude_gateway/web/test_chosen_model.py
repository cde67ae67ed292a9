"""What a caller gets whose model the upstream has no more."""

from typing import Any

import pytest

from tests.claude_gateway.scripted import CHAT, HELLO, MODEL, STREAM, ScriptedDispatcher
from tests.claude_gateway.web.conftest import Serve
from workers.errors import ErrorKind, WorkerError

SONNET = "claude-sonnet-5-5"
REPORTED = [{"value": "sonnet", "resolvedModel": SONNET}]
REFUSAL = WorkerError(ErrorKind.MODEL_NOT_FOUND, "The upstream does not know this model.")
WARNING = f"model: {SONNET} answers for {MODEL}, Anthropic retired it on 2026-11-30"


@pytest.mark.promise("models.retired")
@pytest.mark.parametrize("body", [CHAT, STREAM, {**CHAT, "n": 2}], ids=["whole", "stream", "several"])
async def test_the_heir_of_a_refused_model_answers_and_the_caller_is_told(serve: Serve, body: dict[str, Any]) -> None:
    count = body.get("n", 1)
    dispatcher = ScriptedDispatcher([*[[REFUSAL]] * count, *[HELLO] * 3 * count])
    client = await serve(dispatcher, reported=REPORTED)

    for _ in range(2):
        answer = await client.post("/v1/chat/completions", json=body)
        assert (answer.status, answer.headers["x-claude-model"]) == (200, SONNET)
        assert answer.headers["x-gateway-warnings"] == WARNING
        assert MODEL in await answer.text()  # the name that was asked for
    # Refused once, and not asked for again.
    assert [job.model for job in dispatcher.jobs] == [*[MODEL] * count, *[SONNET] * 2 * count]


async def test_its_other_warnings_are_told_too(serve: Serve) -> None:
    client = await serve(ScriptedDispatcher([[REFUSAL], HELLO]), reported=REPORTED)

    answer = await client.post("/v1/chat/completions", json={**CHAT, "seed": 1})

    assert answer.headers["x-gateway-warnings"] == f"{WARNING}; seed: Claude has no such parameter"


async def test_without_an_heir_it_is_a_404(serve: Serve) -> None:
    dispatcher = ScriptedDispatcher.always(REFUSAL)
    client = await serve(dispatcher)

    answer = await client.post("/v1/chat/completions", json={**CHAT, "model": "claude-of-tomorrow"})

    assert (answer.status, (await answer.json())["error"]["code"]) == (404, "model_not_found")
    assert len(dispatcher.jobs) == 1


async def test_an_heir_that_is_refused_too_is_a_404_and_not_asked_for_twice(serve: Serve) -> None:
    dispatcher = ScriptedDispatcher.always(REFUSAL)
    client = await serve(dispatcher, reported=REPORTED)

    answer = await client.post("/v1/chat/completions", json=CHAT)

    assert answer.status == 404
    assert [job.model for job in dispatcher.jobs] == [MODEL, SONNET]
