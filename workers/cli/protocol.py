"""The CLI's stream-json protocol as a state machine. No I/O.

Most methods of `CliProtocol` return a frame that the calling code must send. `CliProtocol.receive` handles every frame
from the CLI. If the state does not allow a step, the protocol raises `LocalProtocolError` for a step of the gateway and
`RemoteProtocolError` for a step of the CLI.

    STARTING --initialized--> IDLE
    IDLE --replay--> REPLAYING --result--> IDLE            replay an earlier user turn, without a reply
    IDLE --prompt--> REPLYING --result--> IDLE             send the turn to which the model replies
    REPLYING --interrupt--> INTERRUPTING --result--> IDLE  the client disconnected, or the reply is complete
    any --exit--> EXITED
"""

import uuid
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any

from workers.cli.mcp_bridge import handle_mcp_message
from workers.core.bounded_numbers import parse_usd
from workers.core.frame import Frame
from workers.core.job import ToolDefinition, Turn
from workers.core.message_blocks import encode_assistant_message, encode_block


class ProtocolState(Enum):
    """The state of the exchange with a process, as in the diagram of this module."""

    STARTING = auto()
    IDLE = auto()
    REPLAYING = auto()
    REPLYING = auto()
    INTERRUPTING = auto()
    EXITED = auto()


class Trigger(Enum):
    """A step that changes the state of the exchange with a process."""

    INITIALIZED = auto()
    REPLAY = auto()
    PROMPT = auto()
    INTERRUPT = auto()
    RESULT = auto()
    EXIT = auto()


_LOCAL_TRIGGERS = frozenset({Trigger.REPLAY, Trigger.PROMPT, Trigger.INTERRUPT})

# A JSON Schema from which the CLI makes no tool. Because there is a schema, the CLI counts its followup requests
# (`workers.worker.process_config`). Because there is no tool for the output, the CLI neither offers one to the model
# nor requires the model to use it (CLI 2.1.332).
_NO_TOOL_SCHEMA = {"$async": True}
# If there is a schema, the CLI requires the model to call any tool that has this name. So a client tool with this name
# gets an alias.
CLI_TOOL_ALIASES: Mapping[str, str] = {"StructuredOutput": "client_StructuredOutput"}

# The types of frames that `CliProtocol.receive` handles. It ignores frames of other types.
PROTOCOL_FRAME_TYPES = ("result", "control_response", "control_request")
_REPLYING_STATES = (ProtocolState.REPLYING, ProtocolState.INTERRUPTING)

TRANSITIONS: dict[tuple[ProtocolState, Trigger], ProtocolState] = {
    (ProtocolState.STARTING, Trigger.INITIALIZED): ProtocolState.IDLE,
    (ProtocolState.IDLE, Trigger.REPLAY): ProtocolState.REPLAYING,
    (ProtocolState.REPLAYING, Trigger.RESULT): ProtocolState.IDLE,
    (ProtocolState.IDLE, Trigger.PROMPT): ProtocolState.REPLYING,
    (ProtocolState.REPLYING, Trigger.RESULT): ProtocolState.IDLE,
    (ProtocolState.REPLYING, Trigger.INTERRUPT): ProtocolState.INTERRUPTING,
    (ProtocolState.INTERRUPTING, Trigger.RESULT): ProtocolState.IDLE,
    **{(state, Trigger.EXIT): ProtocolState.EXITED for state in ProtocolState},
}


class LocalProtocolError(Exception):
    """The gateway has tried a step that the state does not allow, which is a bug in the gateway."""


class RemoteProtocolError(Exception):
    """The CLI has sent a malformed frame, or a frame that the state does not allow."""


class ControlRejectedError(RemoteProtocolError):
    """The CLI has rejected a control request.

    Attributes:
        subtype: The subtype of the control request.
        message: The error message of the CLI.
        code: The error code of the CLI, or "" if the CLI sent none.
    """

    def __init__(self, subtype: str, message: str, code: str) -> None:
        super().__init__(f"{subtype}: {message}")
        self.subtype = subtype
        self.message = message
        self.code = code


# A function that decides on a `can_use_tool` request. It returns the reason for a denial, or None to permit the call.
PermissionPolicy = Callable[[Mapping[str, Any]], str | None]


def _create_uuid() -> str:
    return str(uuid.uuid4())


class CliProtocol:
    """The state of the exchange with one process.

    Args:
        create_id: A function that creates an id for each frame.
        permission_policy: A function that permits or denies calls of built-in tools, or None if the process has no such
            tools.
        on_tool_call: A function that is called with each call of a remote tool. The function must send the response
            later.

    Attributes:
        state: The state of the exchange.
        account: The account of the login, once the process has started.
        models: The models that the CLI offers, once the process has started.
        cli_version: The version of the CLI, once the process has started.
        has_listed_tools: Whether the CLI has read the current list of tools.
        has_rewound: Whether the last rewind succeeded, once the CLI has responded to it.
        cost_usd: The total cost of the process in US dollars, as the CLI reported it last.
    """

    def __init__(
        self,
        create_id: Callable[[], str] = _create_uuid,
        permission_policy: PermissionPolicy | None = None,
        on_tool_call: Callable[[Frame], None] | None = None,
    ) -> None:
        self.state = ProtocolState.STARTING
        self.account: dict[str, Any] = {}
        self.models: list[dict[str, Any]] = []
        self.cli_version = ""
        self.has_listed_tools = False
        self.has_rewound = False
        self.cost_usd = 0.0
        self._tools: tuple[ToolDefinition, ...] = ()
        self._permission_policy = permission_policy
        self._on_tool_call = on_tool_call
        self._create_id = create_id
        self._pending_controls: dict[str, str] = {}

    def initialize(self) -> Frame:
        """Return the first frame of a chat process.

        The frame turns the system prompt snapshot off, so that `set_system_prompt` works later.
        """
        return self._build_initialize_request(systemPrompt=[], skills=[])

    def initialize_with_builtin_prompt(self, appended_prompt: str) -> Frame:
        """Return the first frame of an agent. The client's system prompt follows Claude Code's own system prompt."""
        extra = {"appendSystemPrompt": appended_prompt} if appended_prompt else {}
        return self._build_initialize_request(skills=[], **extra)

    def set_permission_mode(self, mode: str) -> Frame:
        """Return the frame that changes the permission mode of the CLI, for example to `plan`."""
        return self._build_control_request("set_permission_mode", mode=mode)

    def switch_model(self, model: str) -> Frame:
        """Return the frame that changes the model for the next request.

        The frame sets a live setting, which the CLI does not check. The CLI's own command for a change of the model
        first sends an upstream request of one token to check that the model exists.
        """
        return self._build_control_request("apply_flag_settings", settings={"model": model})

    def set_system_prompt(self, model: str, system: str) -> Frame:
        """Return the frame that replaces the client's system prompt. This prompt follows the CLI's own text.

        `model` must be the current model.
        """
        return self._build_control_request(
            "set_model", model=model, system_prompt=system, only_if_model_is_current=True
        )

    def set_environment(self, variables: dict[str, str]) -> Frame:
        """Return the frame that sets variables that the CLI reads before each upstream request.

        The variables stay set until the next change.
        """
        return self._build_control_request("apply_flag_settings", settings={"env": variables})

    def set_thinking_budget(self, tokens: int | None) -> Frame:
        """Return the frame that sets the thinking budget.

        0 turns thinking off if the model allows that. With None, the model decides how much to think.
        """
        return self._build_control_request("set_max_thinking_tokens", max_thinking_tokens=tokens)

    def set_mcp_servers(self, server_names: tuple[str, ...]) -> Frame:
        """Return the frame that replaces the list of MCP servers inside the gateway.

        The CLI then requests the tools of each server.
        """
        return self._build_control_request(
            "mcp_set_servers", servers={name: {"type": "sdk", "name": name} for name in server_names}
        )

    def set_tools(self, tools: tuple[ToolDefinition, ...]) -> None:
        """Set the tools that the CLI gets when it next requests the list. `has_listed_tools` is False until then."""
        self._tools = tools
        self.has_listed_tools = False

    def replay_user(self, turn: Turn) -> Frame:
        """Return the frame that replays an earlier user turn.

        The calling code must wait for the `result` of this frame before it sends the next frame. Otherwise the order of
        the turns may change.
        """
        self._transition(Trigger.REPLAY)
        return {**self._build_user_frame(turn), "shouldQuery": False}

    def replay_assistant(self, turn: Turn, model: str) -> Frame:
        """Return the frame that replays an earlier assistant turn. The CLI sends no `result` for this frame."""
        if self.state is not ProtocolState.IDLE:
            raise LocalProtocolError(f"an assistant turn cannot be replayed while {self.state.name}")
        message = encode_assistant_message(turn, model, f"msg_{self._create_id()}")
        return {"type": "assistant", "message": message, **self._build_envelope()}

    def prompt(self, turn: Turn) -> Frame:
        """Return the frame with the user turn to which the model replies."""
        self._transition(Trigger.PROMPT)
        return self._build_user_frame(turn)

    def interrupt(self) -> Frame:
        """Return the frame that stops the running turn. The CLI still sends the `result` of the turn."""
        self._transition(Trigger.INTERRUPT)
        return self._build_control_request("interrupt")

    def rewind(self, target_uuid: str, newest_user_uuid: str, *, to_reply: bool = False) -> Frame:
        """Return the frame that removes a message and all later ones.

        `has_rewound` then says whether the CLI has removed them.

        Args:
            target_uuid: The id of the first message to remove.
            newest_user_uuid: The id of the newest user message in the conversation.
            to_reply: Whether the first message to remove is a message of the model.
        """
        if self.state is not ProtocolState.IDLE:
            raise LocalProtocolError(f"a conversation cannot be rewound while {self.state.name}")
        self.has_rewound = False
        return self._build_control_request(
            "rewind_conversation",
            target_message_uuid=target_uuid,
            last_seen_user_message_uuid=newest_user_uuid,
            **({"allow_assistant_target": True} if to_reply else {}),
        )

    def receive(self, frame: Frame) -> Frame | None:
        """Handle one frame from the CLI.

        Returns:
            The frame that the calling code must send in response, or None if the frame needs no response.

        Raises:
            ControlRejectedError: The CLI rejected a control request.
            RemoteProtocolError: The frame is malformed, or the state does not allow it.
        """
        try:
            return self._handle_frame(frame)
        except (KeyError, TypeError, AttributeError) as error:
            raise RemoteProtocolError(f"malformed {frame.get('type')} frame: {error!r}") from error

    def _handle_mcp_request(self, frame: Frame) -> Frame | None:
        message = frame["request"]["message"]
        reply = handle_mcp_message(self._tools, message)
        self.has_listed_tools = self.has_listed_tools or message.get("method") == "tools/list"
        if reply is None:
            if self._on_tool_call:
                self._on_tool_call(frame)
            return None
        response = {"subtype": "success", "request_id": frame["request_id"], "response": {"mcp_response": reply}}
        return {"type": "control_response", "response": response}

    def mark_exited(self) -> None:
        """Record that the process has exited."""
        self._transition(Trigger.EXIT)

    def _handle_frame(self, frame: Frame) -> Frame | None:
        match frame.get("type"):
            case "result":
                self._transition(Trigger.RESULT)
                self.cost_usd = parse_usd(frame.get("total_cost_usd"), self.cost_usd)
            case "control_response":
                self._handle_control_response(frame["response"])
            case "control_request" if frame["request"].get("subtype") == "mcp_message":
                return self._handle_mcp_request(frame)
            case "control_request" if frame["request"].get("subtype") == "can_use_tool" and self._permission_policy:
                return _build_permission_response(frame, self._permission_policy(frame["request"]))
            case "control_request" if (
                frame["request"].get("subtype") == "can_use_tool" and self.state in _REPLYING_STATES
            ):
                # The CLI gets no response to a call of a client tool, because the gateway ends the turn here. If the
                # gateway rejected the call, the CLI would continue by itself.
                return None
            case "control_request":
                # A chat worker has no built-in tools and no hooks, so the gateway rejects every other request.
                return _build_rejection(frame["request_id"], frame["request"].get("subtype", ""))
        return None

    def _handle_control_response(self, response: dict[str, Any]) -> None:
        subtype = self._pending_controls.pop(response["request_id"], "")
        if response["subtype"] == "error":
            raise ControlRejectedError(subtype, response.get("error", ""), response.get("error_code", ""))
        if subtype == "rewind_conversation":
            self.has_rewound = bool(response["response"]["rewound"])
        if subtype == "initialize":
            details = response["response"]
            self.account = details.get("account", {})
            self.models = details.get("models", [])
            self.cli_version = details.get("claude_code_version", "")
            self._transition(Trigger.INITIALIZED)

    @property
    def has_pending_controls(self) -> bool:
        """Whether the CLI has not yet responded to one of the control requests."""
        return bool(self._pending_controls)

    def _transition(self, trigger: Trigger) -> None:
        try:
            self.state = TRANSITIONS[self.state, trigger]
        except KeyError:
            error_type = LocalProtocolError if trigger in _LOCAL_TRIGGERS else RemoteProtocolError
            raise error_type(f"{trigger.name} while {self.state.name}") from None

    def _build_initialize_request(self, **fields: Any) -> Frame:
        return self._build_control_request(
            "initialize",
            systemPromptSnapshot=False,
            jsonSchema=_NO_TOOL_SCHEMA,
            toolAliases=dict(CLI_TOOL_ALIASES),
            **fields,
        )

    def _build_control_request(self, subtype: str, **fields: Any) -> Frame:
        request_id = self._create_id()
        self._pending_controls[request_id] = subtype
        return {
            "type": "control_request",
            "request_id": request_id,
            "request": {"subtype": subtype, **fields},
        }

    def _build_user_frame(self, turn: Turn) -> Frame:
        # The content is always a list of blocks. If it were a string, the CLI would send it upstream as blocks while it
        # is the newest message and as a string later, so the cached prompt would end at this message.
        message = {"role": "user", "content": [encode_block(block) for block in turn.blocks]}
        # `client_composed` keeps "@/etc/passwd" and "/command" plain text. Without it, the CLI would include the file
        # and run the command.
        return {"type": "user", "message": message, "client_composed": True, **self._build_envelope()}

    def _build_envelope(self) -> dict[str, Any]:
        return {"parent_tool_use_id": None, "session_id": "", "uuid": self._create_id()}


def _build_rejection(request_id: str, subtype: str) -> Frame:
    error = f"{subtype} is not permitted for this process"
    return {
        "type": "control_response",
        "response": {"subtype": "error", "request_id": request_id, "error": error},
    }


def _build_permission_response(frame: Frame, denial_reason: str | None) -> Frame:
    decision: dict[str, Any] = {"behavior": "allow", "updatedInput": frame["request"].get("input") or {}}
    if denial_reason is not None:
        decision = {"behavior": "deny", "message": denial_reason}
    response = {"subtype": "success", "request_id": frame["request_id"], "response": decision}
    return {"type": "control_response", "response": response}
