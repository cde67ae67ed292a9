"""The CLI's stream-json conversation as a state table, without I/O.

Commands make the frames to send; `receive` takes every frame that comes in. What a state does not allow
raises: `LocalError` where this side is at fault, `RemoteError` where the CLI is.

    BOOTING --initialized--> IDLE
    IDLE --load--> LOADING --result--> IDLE        an earlier user turn is put back, without an answer
    IDLE --ask--> ANSWERING --result--> IDLE       the turn that the model answers
    ANSWERING --stop--> STOPPING --result--> IDLE  the caller left, or has all he will get
    any --end--> DEAD
"""

import uuid
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any

from workers.frames import Frame
from workers.job import (
    Block,
    Document,
    Image,
    RedactedThought,
    SearchResult,
    Text,
    Thought,
    Tool,
    ToolResult,
    ToolUse,
    Turn,
)
from workers.tool_bridge import answer


class State(Enum):
    BOOTING = auto()
    IDLE = auto()
    LOADING = auto()
    ANSWERING = auto()
    STOPPING = auto()
    DEAD = auto()


class Signal(Enum):
    INITIALIZED = auto()
    LOAD = auto()
    ASK = auto()
    STOP = auto()
    RESULT = auto()
    END = auto()


_COMMANDS = frozenset({Signal.LOAD, Signal.ASK, Signal.STOP})

_NO_CONTENT = "(no content)"

# A schema that the CLI makes no tool of. With a schema it counts its further requests (`workers.setup`), and with no
# tool for the output it neither offers one to the model nor insists on its use (CLI 2.1.332).
_NO_TOOL = {"$async": True}
# With a schema the CLI insists on a call of any tool of this name, also the client's: it is offered under another one.
OFFERED_AS: Mapping[str, str] = {"StructuredOutput": "client_StructuredOutput"}

_IN_A_TURN = (State.ANSWERING, State.STOPPING)

TRANSITIONS: dict[tuple[State, Signal], State] = {
    (State.BOOTING, Signal.INITIALIZED): State.IDLE,
    (State.IDLE, Signal.LOAD): State.LOADING,
    (State.LOADING, Signal.RESULT): State.IDLE,
    (State.IDLE, Signal.ASK): State.ANSWERING,
    (State.ANSWERING, Signal.RESULT): State.IDLE,
    (State.ANSWERING, Signal.STOP): State.STOPPING,
    (State.STOPPING, Signal.RESULT): State.IDLE,
    **{(state, Signal.END): State.DEAD for state in State},
}


class LocalError(Exception):
    """This program asked for something that the state does not allow: a bug here."""


class RemoteError(Exception):
    """The CLI said something that the state does not allow."""


class ControlRefused(RemoteError):
    """The CLI refused a control request; `code` is its own word for why, "" where it gave none."""

    def __init__(self, subtype: str, message: str, code: str) -> None:
        super().__init__(f"{subtype}: {message}")
        self.subtype = subtype
        self.message = message
        self.code = code


# Why a `can_use_tool` request is refused, None where it is granted.
Refusal = Callable[[Mapping[str, Any]], str | None]


def _new_uuid() -> str:
    return str(uuid.uuid4())


class Protocol:
    """One process's side of the conversation. `account` and `models` are known once it is past BOOTING. `cost` is what
    it has cost so far, in US dollars, as far as the CLI has told. `on_call` is told of each call of a tool
    that was offered, and owes its answer."""

    def __init__(
        self,
        new_id: Callable[[], str] = _new_uuid,
        refusal: Refusal | None = None,
        on_call: Callable[[Frame], None] | None = None,
    ) -> None:
        self.state = State.BOOTING
        self.account: dict[str, Any] = {}
        self.models: list[dict[str, Any]] = []
        self.version = ""
        self.list_asked = False
        self.rewound = False
        self.cost = 0.0
        self._tools: tuple[Tool, ...] = ()
        self._refusal = refusal
        self._on_call = on_call
        self._new_id = new_id
        self._pending: dict[str, str] = {}

    def initialize(self) -> Frame:
        """The first frame. No snapshot of the system prompt, so that `set_system` can change it later."""
        return self._initialize(systemPrompt=[], skills=[])

    def initialize_with_own_prompt(self, appended: str) -> Frame:
        """The first frame of a process with Claude Code's own system prompt, and the caller's behind it."""
        more = {"appendSystemPrompt": appended} if appended else {}
        return self._initialize(skills=[], **more)

    def set_permission_mode(self, mode: str) -> Frame:
        return self._control("set_permission_mode", mode=mode)

    def switch_model(self, model: str) -> Frame:
        """Change the model for the next request. As a live setting the CLI takes it unchecked; its own way of switching
        asks the upstream first whether the model exists, with a request of one token."""
        return self._control("apply_flag_settings", settings={"model": model})

    def set_system(self, model: str, system: str) -> Frame:
        """Change the system prompt behind the CLI's own words; `model` must be the current one."""
        return self._control("set_model", model=model, system_prompt=system, only_if_model_is_current=True)

    def set_environment(self, variables: dict[str, str]) -> Frame:
        """Change variables that the CLI reads anew for each upstream request. They stick until overwritten."""
        return self._control("apply_flag_settings", settings={"env": variables})

    def set_thinking_budget(self, tokens: int | None) -> Frame:
        """0 turns thinking off where that can be, None leaves it to the model."""
        return self._control("set_max_thinking_tokens", max_thinking_tokens=tokens)

    def set_servers(self, names: tuple[str, ...]) -> Frame:
        """Replace the MCP servers inside this process; the CLI then asks each for its tools."""
        return self._control("mcp_set_servers", servers={name: {"type": "sdk", "name": name} for name in names})

    def offer(self, tools: tuple[Tool, ...]) -> None:
        """What to answer when the CLI asks for the caller's tools. `list_asked` is then False until it has."""
        self._tools = tools
        self.list_asked = False

    def load(self, turn: Turn) -> Frame:
        """Put a user turn of the past back. The next frame must wait for its `result`, or the order breaks."""
        self._move(Signal.LOAD)
        return {**self._user(turn), "shouldQuery": False}

    def append(self, turn: Turn, model: str) -> Frame:
        """Put an assistant turn of the past back; it is taken at once."""
        if self.state is not State.IDLE:
            raise LocalError(f"an assistant turn cannot be put back while {self.state.name}")
        message = assistant_message(turn, model, f"msg_{self._new_id()}")
        return {"type": "assistant", "message": message, **self._envelope()}

    def ask(self, turn: Turn) -> Frame:
        """The prompt that the model answers."""
        self._move(Signal.ASK)
        return self._user(turn)

    def stop(self) -> Frame:
        self._move(Signal.STOP)
        return self._control("interrupt")

    def rewind(self, target: str, newest: str, *, to_reply: bool = False) -> Frame:
        """Cut the conversation in front of a message, the last of the user's being `newest`; `rewound` tells, once
        this is answered, whether the CLI did. With `to_reply` the target is the model's own message."""
        if self.state is not State.IDLE:
            raise LocalError(f"a conversation cannot be cut while {self.state.name}")
        self.rewound = False
        return self._control(
            "rewind_conversation",
            target_message_uuid=target,
            last_seen_user_message_uuid=newest,
            **({"allow_assistant_target": True} if to_reply else {}),
        )

    def receive(self, frame: Frame) -> Frame | None:
        """Take one frame from the CLI; returns the frame to answer with, if any.

        Raises `ControlRefused` when the CLI refuses what was asked, `RemoteError` when it is out of turn
        or lacks what its type must have.
        """
        try:
            return self._receive(frame)
        except (KeyError, TypeError, AttributeError) as error:
            raise RemoteError(f"a malformed {frame.get('type')}: {error!r}") from error

    def _answer_mcp(self, frame: Frame) -> Frame | None:
        message = frame["request"]["message"]
        reply = answer(self._tools, message)
        self.list_asked = self.list_asked or message.get("method") == "tools/list"
        if reply is None:
            if self._on_call:
                self._on_call(frame)
            return None
        response = {"subtype": "success", "request_id": frame["request_id"], "response": {"mcp_response": reply}}
        return {"type": "control_response", "response": response}

    def end(self) -> None:
        self._move(Signal.END)

    def _receive(self, frame: Frame) -> Frame | None:
        match frame.get("type"):
            case "result":
                self._move(Signal.RESULT)
                self.cost = _cost(frame.get("total_cost_usd"), self.cost)
            case "control_response":
                self._answered(frame["response"])
            case "control_request" if frame["request"].get("subtype") == "mcp_message":
                return self._answer_mcp(frame)
            case "control_request" if frame["request"].get("subtype") == "can_use_tool" and self._refusal:
                return _permission(frame, self._refusal(frame["request"]))
            case "control_request" if frame["request"].get("subtype") == "can_use_tool" and self.state in _IN_A_TURN:
                # The model called a tool of the caller's. Left open: the turn is over for us, and refused it would
                # go on by itself.
                return None
            case "control_request":
                # Nothing that a chat worker may be asked is ever granted: it has no tools and no hooks.
                return _refusal(frame["request_id"], frame["request"].get("subtype", ""))
        return None

    def _answered(self, response: dict[str, Any]) -> None:
        subtype = self._pending.pop(response["request_id"], "")
        if response["subtype"] == "error":
            raise ControlRefused(subtype, response.get("error", ""), response.get("error_code", ""))
        if subtype == "rewind_conversation":
            self.rewound = bool(response["response"]["rewound"])
        if subtype == "initialize":
            answer = response["response"]
            self.account = answer.get("account", {})
            self.models = answer.get("models", [])
            self.version = answer.get("claude_code_version", "")
            self._move(Signal.INITIALIZED)

    @property
    def waits_for_control(self) -> bool:
        """True while a control request is unanswered."""
        return bool(self._pending)

    def _move(self, signal: Signal) -> None:
        try:
            self.state = TRANSITIONS[self.state, signal]
        except KeyError:
            fault = LocalError if signal in _COMMANDS else RemoteError
            raise fault(f"{signal.name} while {self.state.name}") from None

    def _initialize(self, **fields: Any) -> Frame:
        return self._control(
            "initialize", systemPromptSnapshot=False, jsonSchema=_NO_TOOL, toolAliases=dict(OFFERED_AS), **fields
        )

    def _control(self, subtype: str, **fields: Any) -> Frame:
        request_id = self._new_id()
        self._pending[request_id] = subtype
        return {
            "type": "control_request",
            "request_id": request_id,
            "request": {"subtype": subtype, **fields},
        }

    def _user(self, turn: Turn) -> Frame:
        # As blocks, also where it is one text alone: the CLI writes a bare string upstream as blocks while it is the
        # newest and as a string later, and the caller's cached prompt would end there.
        message = {"role": "user", "content": [block_frame(block) for block in turn.blocks]}
        # `client_composed` is what keeps "@/etc/passwd" and "/command" plain text: without it the CLI
        # expands the one into the file and runs the other.
        return {"type": "user", "message": message, "client_composed": True, **self._envelope()}

    def _envelope(self) -> dict[str, Any]:
        return {"parent_tool_use_id": None, "session_id": "", "uuid": self._new_id()}


def block_frame(block: Block) -> dict[str, Any]:
    """A block in the words of the Messages API."""
    match block:
        case Text(text):
            return {"type": "text", "text": text}
        case Image(source):
            return {"type": "image", "source": dict(source)}
        case Document(fields):
            return {**fields, "type": "document"}
        case SearchResult(fields):
            return {"type": "search_result", **fields}
        case Thought(thinking, signature):
            return {"type": "thinking", "thinking": thinking, "signature": signature}
        case RedactedThought(data):
            return {"type": "redacted_thinking", "data": data}
        case ToolUse(id_, name, input_):
            return {"type": "tool_use", "id": id_, "name": name, "input": dict(input_)}
        case ToolResult(tool_use_id, content, is_error):
            return {
                "type": "tool_result",
                "tool_use_id": tool_use_id,
                "content": [block_frame(part) for part in content],
                "is_error": is_error,
            }


def is_taken_for_nothing(block: Block) -> bool:
    """True for the words that Claude Code puts where an answer was empty: it drops a message that begins with them,
    also where the client sent them or the model said them (CLI 2.1.332)."""
    return isinstance(block, Text) and block.text.strip() == _NO_CONTENT


def _said(block: Block) -> list[dict[str, Any]]:
    if isinstance(block, Text) and is_taken_for_nothing(block):
        # In two blocks it is kept, and the model reads the same.
        cut = block.text.index(" content")
        return [block_frame(Text(block.text[:cut])), block_frame(Text(block.text[cut:]))]
    return [block_frame(block)]


def assistant_message(turn: Turn, model: str, id_: str) -> dict[str, Any]:
    """An earlier answer in the words of the Messages API."""
    return {
        "id": id_,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [frame for block in turn.blocks for frame in _said(block)],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }


def _refusal(request_id: str, subtype: str) -> Frame:
    error = f"{subtype} is not granted to this process"
    return {
        "type": "control_response",
        "response": {"subtype": "error", "request_id": request_id, "error": error},
    }


def _permission(frame: Frame, refused: str | None) -> Frame:
    answer: dict[str, Any] = {"behavior": "allow", "updatedInput": frame["request"].get("input") or {}}
    if refused is not None:
        answer = {"behavior": "deny", "message": refused}
    response = {"subtype": "success", "request_id": frame["request_id"], "response": answer}
    return {"type": "control_response", "response": response}


def _cost(told: object, known: float) -> float:
    return float(told) if isinstance(told, int | float) and told > known else known
