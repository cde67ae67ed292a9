"""Schemas of the response object and of the output items in the OpenAI Responses API."""

from typing import Annotated, Any, Literal

from pydantic import Field

from claude_gateway.openapi.spec import OptionalField, ResponseModel

ItemStatus = Literal["in_progress", "completed", "incomplete"]


class OutputTextObject(ResponseModel):
    """A part of a message that contains text."""

    type: Literal["output_text"]
    text: str
    annotations: list[dict[str, Any]]
    logprobs: list[dict[str, Any]]


class OutputMessageObject(ResponseModel):
    """An output item that contains a message of the model."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    status: ItemStatus
    content: list[OutputTextObject]


class SummaryTextObject(ResponseModel):
    """A text part of the summary of the model's reasoning."""

    type: Literal["summary_text"]
    text: str


class ReasoningItemObject(ResponseModel):
    """An output item that contains the reasoning of the model.

    Clients that store the conversation themselves send `encrypted_content` back with the next request.
    """

    id: str
    type: Literal["reasoning"]
    summary: list[SummaryTextObject]
    status: ItemStatus
    encrypted_content: OptionalField[str] = None


class FunctionCallItemObject(ResponseModel):
    """An output item with which the model calls a function of the client. `arguments` is a JSON text."""

    id: str
    type: Literal["function_call"]
    status: ItemStatus
    arguments: str
    call_id: str
    name: str
    namespace: OptionalField[str] = None


class CustomToolCallItemObject(ResponseModel):
    """An output item with which the model calls a custom tool of the client. `input` is text in any format."""

    id: str
    type: Literal["custom_tool_call"]
    status: ItemStatus
    input: str
    call_id: str
    name: str
    namespace: OptionalField[str] = None


class ToolSearchCallItemObject(ResponseModel):
    """An output item with which the model asks the client to search for tools that are not yet in the prompt."""

    id: str
    type: Literal["tool_search_call"]
    status: ItemStatus
    execution: Literal["client"]
    arguments: dict[str, Any]
    call_id: str


OutputItemObject = Annotated[
    OutputMessageObject
    | ReasoningItemObject
    | FunctionCallItemObject
    | CustomToolCallItemObject
    | ToolSearchCallItemObject,
    Field(discriminator="type"),
]


class ResponseErrorObject(ResponseModel):
    """The code and the message of the error because of which a response failed."""

    code: str
    message: str


class IncompleteDetails(ResponseModel):
    """An object that says why a response is incomplete."""

    reason: Literal["max_output_tokens", "content_filter"]


class InputTokensDetails(ResponseModel):
    """The numbers of input tokens that the upstream read from the prompt cache and wrote to the prompt cache."""

    cached_tokens: int
    cache_write_tokens: int


class OutputTokensDetails(ResponseModel):
    """The number of output tokens that the model used for reasoning."""

    reasoning_tokens: int


class ResponseUsage(ResponseModel):
    """The numbers of tokens that a response used."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class ReasoningEcho(ResponseModel):
    """The reasoning parameters of the request, which the response repeats."""

    effort: str | None
    summary: str | None


class TextEcho(ResponseModel):
    """The field `text` of a response. It repeats the text format and verbosity of the request, or their defaults."""

    format: dict[str, Any]
    verbosity: str


class ResponseObject(ResponseModel):
    """A response in the format of OpenAI Responses. The fields after `usage` repeat the parameters of the request."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    error: ResponseErrorObject | None
    incomplete_details: IncompleteDetails | None
    model: str
    output: list[OutputItemObject]
    usage: ResponseUsage | None
    background: bool
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: dict[str, Any]
    parallel_tool_calls: bool
    previous_response_id: str | None
    prompt_cache_key: str | None
    reasoning: ReasoningEcho
    safety_identifier: str | None
    service_tier: Literal["default"]
    store: bool
    temperature: float
    text: TextEcho
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_logprobs: int
    top_p: float
    truncation: Literal["disabled"]
    user: str | None
