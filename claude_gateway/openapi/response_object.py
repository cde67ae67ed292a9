"""The shape of a response of OpenAI's Responses, and of the items that it is made of."""

from typing import Annotated, Any, Literal

from pydantic import Field

from claude_gateway.openapi.operation import Answered, Maybe

ItemStatus = Literal["in_progress", "completed", "incomplete"]


class OutputText(Answered):
    type: Literal["output_text"]
    text: str
    annotations: list[dict[str, Any]]
    logprobs: list[dict[str, Any]]


class OutputMessage(Answered):
    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    status: ItemStatus
    content: list[OutputText]


class SummaryText(Answered):
    type: Literal["summary_text"]
    text: str


class ReasoningItem(Answered):
    id: str
    type: Literal["reasoning"]
    summary: list[SummaryText]
    status: ItemStatus
    encrypted_content: Maybe[str] = None


class FunctionCallItem(Answered):
    id: str
    type: Literal["function_call"]
    status: ItemStatus
    arguments: str
    call_id: str
    name: str
    namespace: Maybe[str] = None


class CustomCallItem(Answered):
    id: str
    type: Literal["custom_tool_call"]
    status: ItemStatus
    input: str
    call_id: str
    name: str
    namespace: Maybe[str] = None


class SearchCallItem(Answered):
    id: str
    type: Literal["tool_search_call"]
    status: ItemStatus
    execution: Literal["client"]
    arguments: dict[str, Any]
    call_id: str


OutputItem = Annotated[
    OutputMessage | ReasoningItem | FunctionCallItem | CustomCallItem | SearchCallItem, Field(discriminator="type")
]


class ResponseFailure(Answered):
    code: str
    message: str


class IncompleteDetails(Answered):
    reason: Literal["max_output_tokens", "content_filter"]


class InputTokensDetails(Answered):
    cached_tokens: int
    cache_write_tokens: int


class OutputTokensDetails(Answered):
    reasoning_tokens: int


class ResponseUsage(Answered):
    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class RepeatedReasoning(Answered):
    effort: str | None
    summary: str | None


class RepeatedText(Answered):
    format: dict[str, Any]
    verbosity: str


class ResponseObject(Answered):
    """What stands below `usage` is repeated from the request."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    error: ResponseFailure | None
    incomplete_details: IncompleteDetails | None
    model: str
    output: list[OutputItem]
    usage: ResponseUsage | None
    background: bool
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: dict[str, Any]
    parallel_tool_calls: bool
    previous_response_id: str | None
    prompt_cache_key: str | None
    reasoning: RepeatedReasoning
    safety_identifier: str | None
    service_tier: Literal["default"]
    store: bool
    temperature: float
    text: RepeatedText
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_logprobs: int
    top_p: float
    truncation: Literal["disabled"]
    user: str | None
