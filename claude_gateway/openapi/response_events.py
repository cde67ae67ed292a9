"""The shapes of the events of a Responses stream."""

from typing import Annotated, Any, Literal

from pydantic import Field

from claude_gateway.openapi.operation import Answered
from claude_gateway.openapi.response_object import OutputItem, OutputText, ResponseObject, SummaryText


class StreamEvent(Answered):
    sequence_number: int


class OfItem(StreamEvent):
    item_id: str
    output_index: int


class WholeEvent(StreamEvent):
    type: Literal[
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.completed",
        "response.incomplete",
        "response.failed",
    ]
    response: ResponseObject


class ItemEvent(StreamEvent):
    type: Literal["response.output_item.added", "response.output_item.done"]
    output_index: int
    item: OutputItem


class PartEvent(OfItem):
    type: Literal["response.content_part.added", "response.content_part.done"]
    content_index: int
    part: OutputText


class TextDelta(OfItem):
    type: Literal["response.output_text.delta"]
    content_index: int
    delta: str
    logprobs: list[dict[str, Any]]


class TextDone(OfItem):
    type: Literal["response.output_text.done"]
    content_index: int
    text: str
    logprobs: list[dict[str, Any]]


class SummaryPartEvent(OfItem):
    type: Literal["response.reasoning_summary_part.added", "response.reasoning_summary_part.done"]
    summary_index: int
    part: SummaryText


class SummaryDelta(OfItem):
    type: Literal["response.reasoning_summary_text.delta"]
    summary_index: int
    delta: str


class SummaryDone(OfItem):
    type: Literal["response.reasoning_summary_text.done"]
    summary_index: int
    text: str


class InputDelta(OfItem):
    type: Literal["response.function_call_arguments.delta", "response.custom_tool_call_input.delta"]
    delta: str


class ArgumentsDone(OfItem):
    type: Literal["response.function_call_arguments.done"]
    name: str
    arguments: str


class InputDone(OfItem):
    type: Literal["response.custom_tool_call_input.done"]
    input: str


class FailureEvent(StreamEvent):
    type: Literal["error"]
    code: str
    message: str
    param: str | None


ResponsesStreamEvent = Annotated[
    WholeEvent
    | ItemEvent
    | PartEvent
    | TextDelta
    | TextDone
    | SummaryPartEvent
    | SummaryDelta
    | SummaryDone
    | InputDelta
    | ArgumentsDone
    | InputDone
    | FailureEvent,
    Field(discriminator="type"),
]
