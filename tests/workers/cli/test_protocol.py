import itertools
from collections.abc import Callable
from typing import Any

import pytest

from tests.workers.helpers import assistant_turn, user_turn
from workers.cli.protocol import (
    TRANSITIONS,
    CliProtocol,
    ControlRejectedError,
    LocalProtocolError,
    ProtocolState,
    RemoteProtocolError,
    Trigger,
)
from workers.core.frame import Frame
from workers.core.job import Text, ToolResult, ToolUse, Turn

RESULT: Frame = {"type": "result", "subtype": "success"}


def make_protocol() -> CliProtocol:
    ids = map(str, itertools.count(1))
    return CliProtocol(lambda: next(ids))


def answer(protocol: CliProtocol, request: Frame, response: dict[str, Any] | None = None) -> None:
    body = {"subtype": "success", "request_id": request["request_id"], "response": response or {}}
    protocol.receive({"type": "control_response", "response": body})


def initialized() -> CliProtocol:
    protocol = make_protocol()
    answer(protocol, protocol.initialize())
    return protocol


def send_initialized(protocol: CliProtocol) -> None:
    answer(protocol, protocol.initialize())


# The call that causes each trigger, and the triggers that lead to each state.
ACTIONS: dict[Trigger, Callable[[CliProtocol], object]] = {
    Trigger.INITIALIZED: send_initialized,
    Trigger.REPLAY: lambda protocol: protocol.replay_user(user_turn("earlier")),
    Trigger.PROMPT: lambda protocol: protocol.prompt(user_turn("now")),
    Trigger.INTERRUPT: lambda protocol: protocol.interrupt(),
    Trigger.RESULT: lambda protocol: protocol.receive(RESULT),
    Trigger.EXIT: lambda protocol: protocol.mark_exited(),
}
PATHS: dict[ProtocolState, tuple[Trigger, ...]] = {
    ProtocolState.STARTING: (),
    ProtocolState.IDLE: (Trigger.INITIALIZED,),
    ProtocolState.REPLAYING: (Trigger.INITIALIZED, Trigger.REPLAY),
    ProtocolState.REPLYING: (Trigger.INITIALIZED, Trigger.PROMPT),
    ProtocolState.INTERRUPTING: (Trigger.INITIALIZED, Trigger.PROMPT, Trigger.INTERRUPT),
    ProtocolState.EXITED: (Trigger.EXIT,),
}
# A second copy of the table: the triggers that each state allows, and the next state.
EXPECTED_TRANSITIONS = {
    (ProtocolState.STARTING, Trigger.INITIALIZED): ProtocolState.IDLE,
    (ProtocolState.IDLE, Trigger.REPLAY): ProtocolState.REPLAYING,
    (ProtocolState.IDLE, Trigger.PROMPT): ProtocolState.REPLYING,
    (ProtocolState.REPLAYING, Trigger.RESULT): ProtocolState.IDLE,
    (ProtocolState.REPLYING, Trigger.RESULT): ProtocolState.IDLE,
    (ProtocolState.REPLYING, Trigger.INTERRUPT): ProtocolState.INTERRUPTING,
    (ProtocolState.INTERRUPTING, Trigger.RESULT): ProtocolState.IDLE,
    **{(state, Trigger.EXIT): ProtocolState.EXITED for state in ProtocolState},
}


def in_state(state: ProtocolState) -> CliProtocol:
    protocol = make_protocol()
    for trigger in PATHS[state]:
        ACTIONS[trigger](protocol)
    assert protocol.state is state
    return protocol


@pytest.mark.parametrize("trigger", Trigger)
@pytest.mark.parametrize("state", ProtocolState)
def test_each_trigger_is_a_transition_or_an_error_of_the_side_at_fault(state: ProtocolState, trigger: Trigger) -> None:
    protocol = in_state(state)
    if (state, trigger) in EXPECTED_TRANSITIONS:
        ACTIONS[trigger](protocol)
        assert protocol.state is EXPECTED_TRANSITIONS[state, trigger]
        return
    is_remote = trigger in (Trigger.RESULT, Trigger.INITIALIZED)
    with pytest.raises(
        RemoteProtocolError if is_remote else LocalProtocolError, match=f"{trigger.name} while {state.name}"
    ):
        ACTIONS[trigger](protocol)
    assert protocol.state is state


def test_allows_no_other_transitions() -> None:
    assert TRANSITIONS == EXPECTED_TRANSITIONS


@pytest.mark.parametrize("state", [state for state in ProtocolState if state is not ProtocolState.IDLE])
def test_replays_an_assistant_turn_only_while_idle(state: ProtocolState) -> None:
    with pytest.raises(LocalProtocolError, match=state.name):
        in_state(state).replay_assistant(assistant_turn("earlier"), "m")


def test_reads_account_models_and_version_at_initialization() -> None:
    protocol = make_protocol()
    details = {"account": {"tokenSource": "none"}, "models": [{"value": "m"}], "claude_code_version": "9"}
    answer(protocol, protocol.initialize(), details)
    assert (protocol.account, protocol.models, protocol.cli_version) == ({"tokenSource": "none"}, [{"value": "m"}], "9")


def test_allows_later_changes_of_the_system_prompt() -> None:
    request = make_protocol().initialize()["request"]
    assert (request["systemPrompt"], request["systemPromptSnapshot"], request["skills"]) == ([], False, [])


@pytest.mark.parametrize("text", ["@/etc/passwd", "/clear", "/cost", "hello"])
def test_never_lets_the_cli_interpret_client_text_as_a_command(text: str) -> None:
    prompt, replayed = initialized().prompt(user_turn(text)), initialized().replay_user(user_turn(text))
    for frame in (prompt, replayed):
        assert frame["client_composed"] is True
        assert frame["message"] == {"role": "user", "content": [{"type": "text", "text": text}]}


def test_marks_only_a_replayed_turn_as_one_without_a_reply() -> None:
    assert initialized().replay_user(user_turn("earlier"))["shouldQuery"] is False
    assert "shouldQuery" not in initialized().prompt(user_turn("now"))


def test_sends_several_blocks_as_in_the_messages_api() -> None:
    results = (ToolResult("t1", (Text("sunny"),)), ToolResult("t2", (), is_error=True), Text("and?"))
    assert initialized().prompt(Turn("user", results))["message"]["content"] == [
        {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "sunny"}], "is_error": False},
        {"type": "tool_result", "tool_use_id": "t2", "content": [], "is_error": True},
        {"type": "text", "text": "and?"},
    ]


def test_replays_an_assistant_turn_unchanged_and_stays_idle() -> None:
    protocol = initialized()
    turn = Turn("assistant", (Text("let me see"), ToolUse("t1", "weather", {"city": "Oslo"})))
    frame = protocol.replay_assistant(turn, "the-model")
    assert frame["type"] == "assistant"
    assert frame["message"]["model"] == "the-model"
    assert frame["message"]["content"] == [
        {"type": "text", "text": "let me see"},
        {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}},
    ]
    assert protocol.state is ProtocolState.IDLE


def test_gives_every_message_its_own_id() -> None:
    protocol = initialized()
    first, second = (
        protocol.replay_assistant(assistant_turn("a"), "m"),
        protocol.replay_assistant(assistant_turn("b"), "m"),
    )
    assert first["uuid"] != second["uuid"]
    assert first["message"]["id"] != second["message"]["id"]


def test_switches_the_model_by_a_live_setting_and_the_prompt_of_the_current_model_only() -> None:
    protocol = initialized()
    assert protocol.switch_model("m")["request"] == {"subtype": "apply_flag_settings", "settings": {"model": "m"}}
    assert protocol.set_system_prompt("m", "be brief")["request"] == {
        "subtype": "set_model",
        "model": "m",
        "system_prompt": "be brief",
        "only_if_model_is_current": True,
    }


def test_raises_a_rejection_with_subtype_message_and_code() -> None:
    protocol = initialized()
    request_id = protocol.set_system_prompt("m", "x")["request_id"]
    rejection = {"subtype": "error", "request_id": request_id, "error": "no such model", "error_code": "unknown"}
    with pytest.raises(ControlRejectedError) as caught:
        protocol.receive({"type": "control_response", "response": rejection})
    assert (caught.value.subtype, caught.value.message, caught.value.code) == ("set_model", "no such model", "unknown")
    assert not protocol.has_pending_controls


def test_has_pending_controls_until_the_last_request_is_answered() -> None:
    protocol = initialized()
    first, second = protocol.set_environment({"A": "1"}), protocol.set_thinking_budget(0)
    answer(protocol, second)
    assert protocol.has_pending_controls
    answer(protocol, first)
    assert not protocol.has_pending_controls


@pytest.mark.parametrize("subtype", ["mcp_call", "hook_callback", "something_new"])
@pytest.mark.parametrize("state", ProtocolState)
def test_rejects_requests_of_the_cli_in_every_state(state: ProtocolState, subtype: str) -> None:
    protocol = in_state(state)
    request = {"type": "control_request", "request_id": "r7", "request": {"subtype": subtype, "tool_name": "Bash"}}
    reply = protocol.receive(request)
    assert reply is not None
    assert reply["type"] == "control_response"
    assert reply["response"]["subtype"] == "error"
    assert reply["response"]["request_id"] == "r7"
    assert protocol.state is state


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "control_response"},
        {"type": "control_response", "response": {"subtype": "success"}},
        {"type": "control_response", "response": None},
        {"type": "control_request", "request_id": "r"},
        {"type": "control_request", "request_id": "r", "request": "can_use_tool"},
    ],
)
def test_raises_remote_error_for_a_malformed_control_frame(frame: Frame) -> None:
    with pytest.raises(RemoteProtocolError, match="malformed"):
        initialized().receive(frame)


@pytest.mark.parametrize("frame", [{}, {"type": "brand_new"}, {"type": "system", "subtype": "init"}])
def test_ignores_frames_of_other_types(frame: Frame) -> None:
    protocol = in_state(ProtocolState.REPLYING)
    assert protocol.receive(frame) is None
    assert protocol.state is ProtocolState.REPLYING


@pytest.mark.parametrize("state", ProtocolState)
def test_leaves_a_tool_call_open_during_a_turn_and_rejects_it_otherwise(state: ProtocolState) -> None:
    protocol = in_state(state)
    request = {"type": "control_request", "request_id": "r7", "request": {"subtype": "can_use_tool", "tool_name": "f"}}
    assert (protocol.receive(request) is None) is (state in (ProtocolState.REPLYING, ProtocolState.INTERRUPTING))


@pytest.mark.parametrize("state", [state for state in ProtocolState if state is not ProtocolState.IDLE])
def test_rewinds_a_conversation_only_while_idle(state: ProtocolState) -> None:
    with pytest.raises(LocalProtocolError, match=state.name):
        in_state(state).rewind("a", "b")


@pytest.mark.parametrize("rewound", [True, False])
def test_reports_whether_the_rewind_succeeded(rewound: bool) -> None:
    protocol = initialized()
    request = protocol.rewind("a", "b")
    assert protocol.has_pending_controls
    answer(protocol, request, {"rewound": rewound})
    assert protocol.has_rewound is rewound
