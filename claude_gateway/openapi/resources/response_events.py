"""Schemas of the events that the gateway streams in the format of OpenAI Responses."""

from typing import Annotated, Any, Literal

from pydantic import Field

from claude_gateway.openapi.resources.response_object import (
    OutputItemObject,
    OutputTextObject,
    ResponseObject,
    SummaryTextObject,
)
from claude_gateway.openapi.spec import ResponseModel


class SequencedEvent(ResponseModel):
    """Base class for the schemas of all events. `sequence_number` is 0 in the first event and grows by 1 per event."""

    sequence_number: int


class OutputItemDetailEvent(SequencedEvent):
    """Base class for the schemas of events that concern a part of an output item."""

    item_id: str
    output_index: int


class ResponseStatusEvent(SequencedEvent):
    """An event with the whole response. The gateway sends it at the start, at the end, and if the status changes."""

    type: Literal[
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.completed",
        "response.incomplete",
        "response.failed",
    ]
    response: ResponseObject


class OutputItemEvent(SequencedEvent):
    """An event with an output item. The gateway sends it at the start and at the end of the item."""

    type: Literal["response.output_item.added", "response.output_item.done"]
    output_index: int
    item: OutputItemObject


class ContentPartEvent(OutputItemDetailEvent):
    """An event with a content part of a message. The gateway sends it at the start and at the end of the part."""

    type: Literal["response.content_part.added", "response.content_part.done"]
    content_index: int
    part: OutputTextObject


class OutputTextDeltaEvent(OutputItemDetailEvent):
    """An event with the next fragment of the text of a message."""

    type: Literal["response.output_text.delta"]
    content_index: int
    delta: str
    logprobs: list[dict[str, Any]]


class OutputTextDoneEvent(OutputItemDetailEvent):
    """An event with the complete text of a content part of a message."""

    type: Literal["response.output_text.done"]
    content_index: int
    text: str
    logprobs: list[dict[str, Any]]


class ReasoningSummaryPartEvent(OutputItemDetailEvent):
    """An event with a part of a reasoning summary. The gateway sends it at the start and at the end of the part."""

    type: Literal["response.reasoning_summary_part.added", "response.reasoning_summary_part.done"]
    summary_index: int
    part: SummaryTextObject


class ReasoningSummaryTextDeltaEvent(OutputItemDetailEvent):
    """An event with the next fragment of the text of a reasoning summary."""

    type: Literal["response.reasoning_summary_text.delta"]
    summary_index: int
    delta: str


class ReasoningSummaryTextDoneEvent(OutputItemDetailEvent):
    """An event with the complete text of a part of a reasoning summary."""

    type: Literal["response.reasoning_summary_text.done"]
    summary_index: int
    text: str


class ToolInputDeltaEvent(OutputItemDetailEvent):
    """An event with the next fragment of the arguments of a function call or of the input of a custom tool call."""

    type: Literal["response.function_call_arguments.delta", "response.custom_tool_call_input.delta"]
    delta: str


class FunctionCallArgumentsDoneEvent(OutputItemDetailEvent):
    """An event with the complete arguments of a function call."""

    type: Literal["response.function_call_arguments.done"]
    name: str
    arguments: str


class CustomToolCallInputDoneEvent(OutputItemDetailEvent):
    """An event with the complete input of a custom tool call."""

    type: Literal["response.custom_tool_call_input.done"]
    input: str


class ResponseErrorEvent(SequencedEvent):
    """An event with the code and the message of the error because of which a stream ends."""

    type: Literal["error"]
    code: str
    message: str
    param: str | None


ResponsesStreamEvent = Annotated[
    ResponseStatusEvent
    | OutputItemEvent
    | ContentPartEvent
    | OutputTextDeltaEvent
    | OutputTextDoneEvent
    | ReasoningSummaryPartEvent
    | ReasoningSummaryTextDeltaEvent
    | ReasoningSummaryTextDoneEvent
    | ToolInputDeltaEvent
    | FunctionCallArgumentsDoneEvent
    | CustomToolCallInputDoneEvent
    | ResponseErrorEvent,
    Field(discriminator="type"),
]
