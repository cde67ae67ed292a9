import itertools
from collections.abc import Callable
from typing import Any

import pytest

from tests.workers.helpers import assistant, user
from workers.frames import Frame
from workers.job import Text, ToolResult, ToolUse, Turn
from workers.protocol import TRANSITIONS, ControlRefused, LocalError, Protocol, RemoteError, Signal, State

RESULT: Frame = {"type": "result", "subtype": "success"}


def a_protocol() -> Protocol:
    ids = map(str, itertools.count(1))
    return Protocol(lambda: next(ids))


def answer(protocol: Protocol, request: Frame, response: dict[str, Any] | None = None) -> None:
    body = {"subtype": "success", "request_id": request["request_id"], "response": response or {}}
    protocol.receive({"type": "control_response", "response": body})


def initialized() -> Protocol:
    protocol = a_protocol()
    answer(protocol, protocol.initialize())
    return protocol


def send_initialized(protocol: Protocol) -> None:
    answer(protocol, protocol.initialize())


# How a caller makes each signal happen, and how each state is reached.
SIGNALS: dict[Signal, Callable[[Protocol], object]] = {
    Signal.INITIALIZED: send_initialized,
    Signal.LOAD: lambda protocol: protocol.load(user("earlier")),
    Signal.ASK: lambda protocol: protocol.ask(user("now")),
    Signal.STOP: lambda protocol: protocol.stop(),
    Signal.RESULT: lambda protocol: protocol.receive(RESULT),
    Signal.END: lambda protocol: protocol.end(),
}
WAYS: dict[State, tuple[Signal, ...]] = {
    State.BOOTING: (),
    State.IDLE: (Signal.INITIALIZED,),
    State.LOADING: (Signal.INITIALIZED, Signal.LOAD),
    State.ANSWERING: (Signal.INITIALIZED, Signal.ASK),
    State.STOPPING: (Signal.INITIALIZED, Signal.ASK, Signal.STOP),
    State.DEAD: (Signal.END,),
}
# The table once more, written by hand: what a state lets happen, and where that leads.
ALLOWED = {
    (State.BOOTING, Signal.INITIALIZED): State.IDLE,
    (State.IDLE, Signal.LOAD): State.LOADING,
    (State.IDLE, Signal.ASK): State.ANSWERING,
    (State.LOADING, Signal.RESULT): State.IDLE,
    (State.ANSWERING, Signal.RESULT): State.IDLE,
    (State.ANSWERING, Signal.STOP): State.STOPPING,
    (State.STOPPING, Signal.RESULT): State.IDLE,
    **{(state, Signal.END): State.DEAD for state in State},
}


def in_state(state: State) -> Protocol:
    protocol = a_protocol()
    for signal in WAYS[state]:
        SIGNALS[signal](protocol)
    assert protocol.state is state
    return protocol


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("state", State)
def test_a_signal_is_a_transition_or_the_error_of_the_side_at_fault(state: State, signal: Signal) -> None:
    protocol = in_state(state)
    if (state, signal) in ALLOWED:
        SIGNALS[signal](protocol)
        assert protocol.state is ALLOWED[state, signal]
        return
    from_the_cli = signal in (Signal.RESULT, Signal.INITIALIZED)
    with pytest.raises(RemoteError if from_the_cli else LocalError, match=f"{signal.name} while {state.name}"):
        SIGNALS[signal](protocol)
    assert protocol.state is state


def test_the_table_allows_nothing_else() -> None:
    assert TRANSITIONS == ALLOWED


@pytest.mark.parametrize("state", [state for state in State if state is not State.IDLE])
def test_an_assistant_turn_is_put_back_only_while_idle(state: State) -> None:
    with pytest.raises(LocalError, match=state.name):
        in_state(state).append(assistant("said"), "m")


def test_booting_tells_what_the_cli_said_of_itself() -> None:
    protocol = a_protocol()
    said = {"account": {"tokenSource": "none"}, "models": [{"value": "m"}], "claude_code_version": "9"}
    answer(protocol, protocol.initialize(), said)
    assert (protocol.account, protocol.models, protocol.version) == ({"tokenSource": "none"}, [{"value": "m"}], "9")


def test_the_system_prompt_is_not_frozen_at_boot() -> None:
    request = a_protocol().initialize()["request"]
    assert (request["systemPrompt"], request["systemPromptSnapshot"], request["skills"]) == ([], False, [])


@pytest.mark.parametrize("text", ["@/etc/passwd", "/clear", "/cost", "hello"])
def test_a_callers_text_is_never_read_as_a_command(text: str) -> None:
    asked, loaded = initialized().ask(user(text)), initialized().load(user(text))
    for frame in (asked, loaded):
        assert frame["client_composed"] is True
        assert frame["message"] == {"role": "user", "content": [{"type": "text", "text": text}]}


def test_only_an_earlier_turn_is_marked_as_not_to_be_answered() -> None:
    assert initialized().load(user("earlier"))["shouldQuery"] is False
    assert "shouldQuery" not in initialized().ask(user("now"))


def test_several_blocks_go_in_as_the_messages_api_has_them() -> None:
    results = (ToolResult("t1", (Text("sunny"),)), ToolResult("t2", (), is_error=True), Text("and?"))
    assert initialized().ask(Turn("user", results))["message"]["content"] == [
        {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "sunny"}], "is_error": False},
        {"type": "tool_result", "tool_use_id": "t2", "content": [], "is_error": True},
        {"type": "text", "text": "and?"},
    ]


def test_an_assistant_turn_is_put_back_whole_and_leaves_the_protocol_idle() -> None:
    protocol = initialized()
    turn = Turn("assistant", (Text("let me see"), ToolUse("t1", "weather", {"city": "Oslo"})))
    frame = protocol.append(turn, "the-model")
    assert frame["type"] == "assistant"
    assert frame["message"]["model"] == "the-model"
    assert frame["message"]["content"] == [
        {"type": "text", "text": "let me see"},
        {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}},
    ]
    assert protocol.state is State.IDLE


def test_every_message_has_an_id_of_its_own() -> None:
    protocol = initialized()
    first, second = protocol.append(assistant("a"), "m"), protocol.append(assistant("b"), "m")
    assert first["uuid"] != second["uuid"]
    assert first["message"]["id"] != second["message"]["id"]


def test_a_model_is_switched_by_a_live_setting_and_a_prompt_for_the_current_model_alone() -> None:
    protocol = initialized()
    assert protocol.switch_model("m")["request"] == {"subtype": "apply_flag_settings", "settings": {"model": "m"}}
    assert protocol.set_system("m", "be brief")["request"] == {
        "subtype": "set_model",
        "model": "m",
        "system_prompt": "be brief",
        "only_if_model_is_current": True,
    }


def test_a_refusal_names_what_was_refused_and_why() -> None:
    protocol = initialized()
    request_id = protocol.set_system("m", "x")["request_id"]
    refusal = {"subtype": "error", "request_id": request_id, "error": "no such model", "error_code": "unknown"}
    with pytest.raises(ControlRefused) as caught:
        protocol.receive({"type": "control_response", "response": refusal})
    assert (caught.value.subtype, caught.value.message, caught.value.code) == ("set_model", "no such model", "unknown")
    assert not protocol.waits_for_control


def test_it_waits_for_control_until_the_last_request_is_answered_in_any_order() -> None:
    protocol = initialized()
    first, second = protocol.set_environment({"A": "1"}), protocol.set_thinking_budget(0)
    answer(protocol, second)
    assert protocol.waits_for_control
    answer(protocol, first)
    assert not protocol.waits_for_control


@pytest.mark.parametrize("subtype", ["mcp_call", "hook_callback", "something_new"])
@pytest.mark.parametrize("state", State)
def test_whatever_the_cli_asks_for_is_refused_in_every_state(state: State, subtype: str) -> None:
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
def test_a_control_frame_without_its_parts_is_the_clis_fault(frame: Frame) -> None:
    with pytest.raises(RemoteError, match="malformed"):
        initialized().receive(frame)


@pytest.mark.parametrize("frame", [{}, {"type": "brand_new"}, {"type": "system", "subtype": "init"}])
def test_frames_of_other_types_are_let_through(frame: Frame) -> None:
    protocol = in_state(State.ANSWERING)
    assert protocol.receive(frame) is None
    assert protocol.state is State.ANSWERING


@pytest.mark.parametrize("state", State)
def test_a_call_of_the_model_s_is_left_open_within_a_turn_and_refused_elsewhere(state: State) -> None:
    protocol = in_state(state)
    request = {"type": "control_request", "request_id": "r7", "request": {"subtype": "can_use_tool", "tool_name": "f"}}
    assert (protocol.receive(request) is None) is (state in (State.ANSWERING, State.STOPPING))


@pytest.mark.parametrize("state", [state for state in State if state is not State.IDLE])
def test_a_conversation_is_cut_only_while_idle(state: State) -> None:
    with pytest.raises(LocalError, match=state.name):
        in_state(state).rewind("a", "b")


@pytest.mark.parametrize("rewound", [True, False])
def test_whether_it_was_cut_is_known_once_the_cli_answered(rewound: bool) -> None:
    protocol = initialized()
    request = protocol.rewind("a", "b")
    assert protocol.waits_for_control
    answer(protocol, request, {"rewound": rewound})
    assert protocol.rewound is rewound
