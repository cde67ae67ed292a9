"""What is Gemini's own: keys in either case, thoughts in signatures, calls without ids."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic.alias_generators import to_camel, to_snake

from claude_gateway.dialects.gemini import encode
from claude_gateway.prompt.thoughts import unseal
from tests.claude_gateway.dialects.face import Json
from tests.claude_gateway.dialects.gemini import SEAL, Gemini
from tests.claude_gateway.dialects.test_cases import CASES, read
from workers.events import (
    BlockEnded,
    BlockStarted,
    Event,
    Finished,
    InputDelta,
    Signed,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from workers.job import Text, Thought, ToolUse

DIALECT = Gemini()
TAKEN = [folder for folder in sorted((CASES / "gemini").iterdir()) if not (folder / "error.json").exists()]
# The caller's own data, whose keys are his.
OPAQUE = {"args", "response", "parametersJsonSchema", "responseJsonSchema", "labels", "properties"}
THOUGHT: list[Event] = [
    BlockStarted(Thought("", "")),
    ThinkingDelta("hm"),
    Signed("c2lnbmVk"),
    BlockEnded(),
]
CALL: list[Event] = [BlockStarted(ToolUse("toolu_1", "f", {})), InputDelta("{}"), BlockEnded()]
END = Finished("end_turn", Usage())


def snake(value: Any, *, every_other: bool = False) -> Any:
    """The request with its keys in snake_case, all of them or each other one of an object."""
    if isinstance(value, list):
        return [snake(one, every_other=every_other) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        (key if every_other and number % 2 else to_snake(key)): (
            one if to_camel(key) in OPAQUE else snake(one, every_other=every_other)
        )
        for number, (key, one) in enumerate(value.items())
    }


@pytest.mark.promise("gemini.either-case")
@pytest.mark.parametrize("every_other", [False, True], ids=["all", "mixed"])
@pytest.mark.parametrize("folder", TAKEN, ids=lambda folder: folder.name)
def test_the_case_of_a_key_changes_nothing(folder: Path, every_other: bool) -> None:
    request = read(folder / "request.json")

    assert DIALECT.parse(snake(request, every_other=every_other)).job == DIALECT.parse(request).job


def body(*events: Event, include_thoughts: bool) -> list[Json]:
    fold = encode.BodyFold("response_1", "m", SEAL, include_thoughts=include_thoughts)
    for event in (*events, END):
        fold.feed(event)
    parts: list[Json] = fold.body()["candidates"][0]["content"]["parts"]
    return parts


@pytest.mark.promise("gemini.thoughts")
def test_thoughts_are_shown_only_when_asked_for_and_sealed_all_the_same() -> None:
    shown, hidden = (body(*THOUGHT, *CALL, include_thoughts=include) for include in (True, False))

    assert shown == [{"text": "hm", "thought": True}, *hidden]
    (call,) = hidden
    assert unseal(call["thoughtSignature"], SEAL) == (Thought("hm", "c2lnbmVk"),)


@pytest.mark.promise("gemini.thoughts")
@pytest.mark.parametrize("include_thoughts", [True, False])
def test_a_thought_comes_back_with_the_part_that_carries_it(include_thoughts: bool) -> None:
    said = body(*THOUGHT, BlockStarted(Text("")), TextDelta("yes"), BlockEnded(), include_thoughts=include_thoughts)
    contents = [*DIALECT.request()["contents"], {"role": "model", "parts": said}, *DIALECT.request()["contents"]]

    job = DIALECT.parse({"contents": contents}).job

    assert job.turns[1].blocks == (Thought("hm", "c2lnbmVk"), Text("yes"))


def test_the_chunks_of_a_stream_sent_back_as_contents_are_one_turn() -> None:
    """As Google's own chats do."""
    events = [*THOUGHT, BlockStarted(Text("")), *map(TextDelta, ["a", "\n\n", "b"]), BlockEnded(), *CALL, END]
    chunks = [orjson.loads(data) for _, data in DIALECT.stream(events)]
    response = {"functionResponse": {"name": "f", "response": {"output": "ok"}}}

    turns = DIALECT.parse(
        {
            "contents": [
                *DIALECT.request()["contents"],
                *(chunk["candidates"][0]["content"] for chunk in chunks),
                {"role": "user", "parts": [response]},
            ]
        }
    ).job.turns

    assert turns[1].blocks == (Thought("hm", "c2lnbmVk"), Text("a\n\nb"), ToolUse("toolu_1", "f", {}))


def test_a_call_without_an_id_gets_the_same_one_each_time() -> None:
    request = read(CASES / "gemini" / "functions_without_ids" / "request.json")
    longer = {"contents": [*request["contents"], {"role": "model", "parts": [{"text": "ok"}]}, *request["contents"]]}

    assert DIALECT.parse(longer).job.turns[:3] == DIALECT.parse(request).job.turns
