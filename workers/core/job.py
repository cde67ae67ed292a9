"""Frozen data types that describe a chat job. No I/O.

The blocks in a message have the form that the Anthropic Messages API uses, because the CLI reads and writes blocks in
this form.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class Text:
    """A block of plain text. The text is never empty or blank, because the API rejects such a block."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """A block with an image.

    Attributes:
        source: The image as in the Messages API: `{"type": "base64", "media_type": …, "data": …}`.
        url: The URL from which the gateway fetched the image, or "" if the client sent the bytes. The model does not
            read the URL.
    """

    source: Mapping[str, Any]
    url: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Document:
    """A block with a PDF or text document.

    Attributes:
        fields: The fields that the client sent: `source`, and optionally `title`, `context` and `citations`.
        url: The URL from which the gateway fetched the document, or "" if the client sent the document itself.
    """

    fields: Mapping[str, Any]
    url: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A block with a search result as in the Messages API.

    Its fields are `source`, `title` and `content` (text blocks).
    """

    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ThinkingBlock:
    """A block with the model's thinking. The signature proves that the model wrote the thinking."""

    thinking: str
    signature: str


@dataclass(frozen=True, slots=True)
class RedactedThinkingBlock:
    """A block with encrypted thinking, which only the model can read."""

    data: str


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A block with a tool call that the model made. `input` contains the arguments as a JSON object."""

    id: str
    name: str
    input: Mapping[str, Any]


ToolResultPart = Text | Image | Document | SearchResult


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A block with the result of a tool call. `tool_use_id` is the id of the call.

    If `is_error` is set, the content is text and not empty, because the API accepts no other content for errors.
    """

    tool_use_id: str
    content: tuple[ToolResultPart, ...]
    is_error: bool = False


Block = Text | Image | Document | SearchResult | ThinkingBlock | RedactedThinkingBlock | ToolUse | ToolResult


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation, with at least one block."""

    role: Role
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A tool that the model may call.

    Attributes:
        name: The name with which the model calls the tool.
        description: The description that the model reads.
        schema: The JSON Schema of the arguments.
        strict: Whether the API enforces the schema.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    strict: bool = False


@dataclass(frozen=True, slots=True)
class RemoteToolResult:
    """The result of a remote tool, which runs outside of the CLI. It has at least one block, and no text is blank."""

    content: tuple[Text | Image, ...]
    is_error: bool = False


# A function that runs a remote tool. The parameters are the name of the tool and the arguments of the call.
RemoteToolExecutor = Callable[[str, Mapping[str, Any]], Awaitable[RemoteToolResult]]


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """The tool calls that the model may or must make.

    Attributes:
        mode: With `auto`, the model decides whether it calls tools. With `any`, it must call at least one tool. With
            `tool`, it must call the tool `name`. With `none`, it must not call a tool.
        name: The tool that the model must call in the mode `tool`.
        parallel: Whether one reply may contain several calls.
    """

    mode: Literal["auto", "any", "tool", "none"] = "auto"
    name: str = ""
    parallel: bool = True


# The form in which the client sees calls of built-in tools. With `thoughts`, each call is a line in the thinking. With
# `calls`, the client gets the calls and their results.
ToolProgressFormat = Literal["thoughts", "calls"]
ThinkingMode = int | Literal["off", "adaptive"]
# The thinking that the API returns: a summary, only the signature, or progress messages between tool calls.
ThinkingDisplay = Literal["summarized", "omitted", "updates"]
Effort = Literal["low", "medium", "high", "xhigh", "max"]


@dataclass(frozen=True, slots=True)
class OutputSchema:
    """The JSON Schema that the text of the reply must match.

    Attributes:
        schema: The JSON Schema of the client, or None if the reply may be any JSON object.
        field_path: The position of the schema in the request, for error messages.
        native_schema: The form of the schema that the API enforces. If it is None, the API does not enforce the schema,
            and only the prompt tells the model about it.
    """

    schema: Mapping[str, Any] | None
    field_path: str
    native_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class GenerationParams:
    """Generation parameters in the units of the Messages API. If a parameter is None, the model uses the default value.

    `temperature` and `top_p` are between 0 and 1. `thinking` is a budget in tokens, `off` for no thinking, or
    `adaptive` if the model decides how much to think.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    thinking: ThinkingMode = "off"
    thinking_display: ThinkingDisplay | None = None
    effort: Effort | None = None
    tool_choice: ToolChoice | None = None
    output_schema: OutputSchema | None = None


DEFAULT_PARAMS = GenerationParams()
_GROUP_PREFIX = "group:"


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """Options of a job with built-in tools.

    Attributes:
        builtin_tools: The names of the built-in tools that the model may call, sorted. They are the CLI's names.
        workspace_id: The name of the workspace in which the agent works. The gateway keeps this workspace after the
            job. If the name is None, the gateway creates a temporary workspace and removes it after the job.
        max_turns: The maximum number of messages that the model may write in the job, or None if there is no limit.
        plan_mode: Whether the model only makes a plan, so that no tool changes anything.
        progress_format: The form in which the client sees each tool call, or None if the client does not see tool
            calls.
        final_text_only: Whether the gateway omits the text before the last tool call from the reply. This is necessary
            if the reply must match a schema, because the text before the last tool call does not match the schema.
        remote_tools: Tools that run outside of the CLI. Their names differ from those of all other tools.
        call_remote_tool: A function that runs a remote tool. If the tool fails, the function returns a result and
            raises no exception.
    """

    builtin_tools: tuple[str, ...]
    workspace_id: str | None = None
    max_turns: int | None = None
    plan_mode: bool = False
    progress_format: ToolProgressFormat | None = None
    final_text_only: bool = False
    remote_tools: tuple[ToolDefinition, ...] = ()
    call_remote_tool: RemoteToolExecutor | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class ChatJob:
    """One prompt to the model, with the conversation, the tools and all parameters that determine the reply.

    Attributes:
        key_id: The id of the API key for which the job runs.
        model: The name of the model.
        turns: The conversation. Turns of the user and of the assistant alternate. The first and the last turn are turns
            of the user.
        system: The system prompt; "" if there is no system prompt.
        params: The generation parameters.
        tools: The client tools.
        agent_options: The options of a job with built-in tools, or None for a chat without built-in tools.
        group: The name of the key's group, or "" if the key is in no group.
        login: The name of the login with which the job must run, or "" if it may run with any.
    """

    key_id: str
    model: str
    turns: tuple[Turn, ...]
    system: str = ""
    params: GenerationParams = DEFAULT_PARAMS
    tools: tuple[ToolDefinition, ...] = ()
    agent_options: AgentOptions | None = None
    group: str = ""
    login: str = ""

    @property
    def tenant(self) -> str:
        """The keys that share processes with the key of this job, as a name.

        The keys of one group are one tenant. A key in no group is a tenant alone. A process never serves two tenants.
        """
        return f"{_GROUP_PREFIX}{self.group}" if self.group else f"key:{self.key_id}"


def find_group(tenant: str) -> str | None:
    """Return the name of the group that is the tenant (`ChatJob.tenant`), or None if the tenant is a single key."""
    return tenant.removeprefix(_GROUP_PREFIX) if tenant.startswith(_GROUP_PREFIX) else None
