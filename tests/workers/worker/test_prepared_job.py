"""Tests of the values that are computed once from a whole job: keys, names and tools that the CLI must know."""

from dataclasses import replace

import pytest

from tests.workers.helpers import assistant_turn, make_job, user_turn
from workers.conversation import prefix_keys
from workers.core.job import AgentOptions, ChatJob, Text, ToolDefinition, ToolResult, ToolUse, Turn
from workers.worker.prepared_job import prepare_agent_job, prepare_chat_job

TOOL = ToolDefinition("fs/read", "Reads.", {"type": "object", "properties": {"a b": {"type": "string"}}})
JOB = ChatJob(
    "ann",
    "m",
    (
        Turn("user", (Text("hi"),)),
        Turn("assistant", (Text("one"), ToolUse("call 1", "fs/read", {"a b": "x"}))),
        Turn("user", (ToolResult("call 1", (Text("é"),)),)),
    ),
    "be brief",
    tools=(TOOL,),
)
# The resume index of each session stores keys on disk, so changed values would make it useless.
KEYS = (
    "51caae70caf972b501db17b7aeb1841a371aa865027cf5a9ff4a05ad531fa54c",
    "32bd0db5fad16f9a758e2e41326f2217b8d6c24fed8e17c65eaba523d6df036c",
)
PROMPT_KEY = "25a4c27826ea1cf6e52a6b050a37f5bf6c33e7b20cdddc0d57e7f386f10e767a"
CONTENT_KEYS = (
    "8ccd515fb9d1354c457b2b6fa28f4b9b534fe121ac88a0e68d96fe583d011c02",
    "a5ce645da2bd6b6c337801e3b6a34f8f117cdde9e093105a0f37aed3dc71ddfc",
)


def test_keys_have_the_values_that_are_stored_on_disk() -> None:
    prepared = prepare_agent_job(replace(JOB, agent_options=AgentOptions(())))

    assert prepared.keys.prefixes == KEYS
    assert prepared.keys.prompt_key == PROMPT_KEY
    assert prepared.content_keys.prefixes == CONTENT_KEYS
    assert prepare_chat_job(JOB).keys == prepared.keys


def test_key_after_a_reply_is_the_history_key_of_the_next_job() -> None:
    first = prepare_chat_job(make_job(user_turn("hi")))
    following = prepare_chat_job(make_job(user_turn("hi"), assistant_turn("one"), user_turn("and?")))

    assert first.keys.with_reply(assistant_turn("one")) == following.keys.history_key


@pytest.mark.parametrize("is_agent_job", [False, True])
def test_each_turn_is_encoded_once(monkeypatch: pytest.MonkeyPatch, is_agent_job: bool) -> None:
    encoded: list[Turn] = []
    canonicalize = prefix_keys.canonicalize_turn

    def count(turn: Turn) -> list[dict[str, object]]:
        encoded.append(turn)
        return canonicalize(turn)

    monkeypatch.setattr(prefix_keys, "canonicalize_turn", count)
    if is_agent_job:
        prepare_agent_job(replace(JOB, agent_options=AgentOptions(())))
    else:
        prepare_chat_job(JOB)

    assert len(encoded) == len(JOB.turns)


def test_tool_names_are_valid_for_the_api_and_have_aliases() -> None:
    prepared = prepare_chat_job(JOB)

    assert prepared.tool_names == {"fs_read"}
    assert [tool.name for tool in prepared.job.tools] == ["fs_read"]
    assert prepared.aliases.tools == {"fs/read": "fs_read"}


def test_remote_tool_names_of_an_agent_are_valid_for_the_api() -> None:
    prepared = prepare_agent_job(make_agent_job(remote_tools=(TOOL,)))

    assert [tool.name for tool in prepared.remote_tools] == ["fs_read"]
    assert prepared.remote_aliases.tools == {"fs/read": "fs_read"}


def make_agent_job(**options: object) -> ChatJob:
    return replace(make_job(), agent_options=AgentOptions((), **options))  # type: ignore[arg-type]
