"""Features that only Gemini has: field names in two cases, thinking in signatures, calls without ids."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic.alias_generators import to_camel, to_snake

from claude_gateway.dialects.common.content.signed_thinking import verify_thinking
from claude_gateway.dialects.gemini import encode
from tests.claude_gateway.dialects.adapters.dialect_adapter import Json
from tests.claude_gateway.dialects.adapters.gemini import SIGNER, Gemini
from tests.claude_gateway.dialects.test_cases import CASES, read_json
from workers.core.events import (
    BlockEnded,
    BlockStarted,
    Event,
    Finished,
    SignatureDelta,
    TextDelta,
    ThinkingDelta,
    TokenUsage,
    ToolInputDelta,
)
from workers.core.job import Text, ThinkingBlock, ToolUse

DIALECT = Gemini()
ACCEPTED_CASES = [folder for folder in sorted((CASES / "gemini").iterdir()) if not (folder / "error.json").exists()]
# Fields with the client's own data, whose keys must stay unchanged.
OPAQUE_FIELDS = {"args", "response", "parametersJsonSchema", "responseJsonSchema", "labels", "properties"}
THINKING: list[Event] = [
    BlockStarted(ThinkingBlock("", "")),
    ThinkingDelta("hm"),
    SignatureDelta("c2lnbmVk"),
    BlockEnded(),
]
CALL: list[Event] = [BlockStarted(ToolUse("toolu_1", "f", {})), ToolInputDelta("{}"), BlockEnded()]
END = Finished("end_turn", TokenUsage())


def to_snake_case(value: Any, *, every_other: bool = False) -> Any:
    """Return the request with its field names in snake case: all of them, or every other one of an object."""
    if isinstance(value, list):
        return [to_snake_case(item, every_other=every_other) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        (name if every_other and number % 2 else to_snake(name)): (
            item if to_camel(name) in OPAQUE_FIELDS else to_snake_case(item, every_other=every_other)
        )
        for number, (name, item) in enumerate(value.items())
    }


@pytest.mark.promise("gemini.either-case")
@pytest.mark.parametrize("every_other", [False, True], ids=["all", "mixed"])
@pytest.mark.parametrize("folder", ACCEPTED_CASES, ids=lambda folder: folder.name)
def test_accepts_field_names_in_camel_and_snake_case(folder: Path, every_other: bool) -> None:
    request = read_json(folder / "request.json")

    assert DIALECT.parse(to_snake_case(request, every_other=every_other)).job == DIALECT.parse(request).job


def encode_body(*events: Event, include_thoughts: bool) -> list[Json]:
    builder = encode.GeminiBodyBuilder("response_1", "m", SIGNER, include_thoughts=include_thoughts)
    for event in (*events, END):
        builder.feed(event)
    parts: list[Json] = builder.body()["candidates"][0]["content"]["parts"]
    return parts


@pytest.mark.promise("gemini.thinking")
def test_shows_thinking_only_on_request_and_always_signs_it() -> None:
    with_thinking, without_thinking = (
        encode_body(*THINKING, *CALL, include_thoughts=include) for include in (True, False)
    )

    assert with_thinking == [{"text": "hm", "thought": True}, *without_thinking]
    (call,) = without_thinking
    assert verify_thinking(call["thoughtSignature"], SIGNER) == (ThinkingBlock("hm", "c2lnbmVk"),)


@pytest.mark.promise("gemini.thinking")
@pytest.mark.parametrize("include_thoughts", [True, False])
def test_restores_thinking_from_the_part_that_carries_its_signature(include_thoughts: bool) -> None:
    parts = encode_body(
        *THINKING, BlockStarted(Text("")), TextDelta("yes"), BlockEnded(), include_thoughts=include_thoughts
    )
    contents = [
        *DIALECT.minimal_request()["contents"],
        {"role": "model", "parts": parts},
        *DIALECT.minimal_request()["contents"],
    ]

    job = DIALECT.parse({"contents": contents}).job

    assert job.turns[1].blocks == (ThinkingBlock("hm", "c2lnbmVk"), Text("yes"))


def test_resent_stream_chunks_become_one_turn() -> None:
    """Google's chat clients resend chunks in this form."""
    events = [*THINKING, BlockStarted(Text("")), *map(TextDelta, ["a", "\n\n", "b"]), BlockEnded(), *CALL, END]
    chunks = [orjson.loads(data) for _, data in DIALECT.encode_stream(events)]
    response = {"functionResponse": {"name": "f", "response": {"output": "ok"}}}

    turns = DIALECT.parse(
        {
            "contents": [
                *DIALECT.minimal_request()["contents"],
                *(chunk["candidates"][0]["content"] for chunk in chunks),
                {"role": "user", "parts": [response]},
            ]
        }
    ).job.turns

    assert turns[1].blocks == (ThinkingBlock("hm", "c2lnbmVk"), Text("a\n\nb"), ToolUse("toolu_1", "f", {}))


def test_call_without_id_gets_a_stable_id() -> None:
    request = read_json(CASES / "gemini" / "functions_without_ids" / "request.json")
    longer_request = {
        "contents": [*request["contents"], {"role": "model", "parts": [{"text": "ok"}]}, *request["contents"]]
    }

    assert DIALECT.parse(longer_request).job.turns[:3] == DIALECT.parse(request).job.turns
