"""Descriptions of the operations in the format of OpenAI Responses (`web/endpoints/responses.py`)."""

from typing import Any, Literal

from claude_gateway.dialects.openai_responses.schema import ResponsesRequest
from claude_gateway.openapi.error_schemas import JOB_ERROR_STATUSES
from claude_gateway.openapi.resources.chat import EXAMPLE_MODEL, EXAMPLE_RESPONSE_MODEL
from claude_gateway.openapi.resources.response_events import ResponsesStreamEvent
from claude_gateway.openapi.resources.response_object import ResponseObject
from claude_gateway.openapi.spec import OperationSpec, Parameter, RequestBodySpec, ResponseModel, ResponseSpec, Tag


class InputItemList(ResponseModel):
    """A page of the input items of a response. Each item has the format in which the client sent the item."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    has_more: bool
    first_id: str | None
    last_id: str | None


class DeleteResponseResult(ResponseModel):
    """The response of the gateway after it deleted a stored response."""

    id: str
    object: Literal["response"]
    deleted: Literal[True]


_ID = Parameter("id", "The id of the response.", example="resp_abc123")
_REQUEST: dict[str, Any] = {"model": EXAMPLE_MODEL, "input": "Hello!"}
_RESPONSE: dict[str, Any] = {
    "id": "resp_abc123",
    "object": "response",
    "created_at": 1_768_471_800,
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "model": EXAMPLE_RESPONSE_MODEL,
    "output": [
        {
            "id": "msg_abc123_0",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hello!", "annotations": [], "logprobs": []}],
        }
    ],
    "usage": {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 13,
    },
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
_STREAM = (
    {
        "type": "response.created",
        "sequence_number": 0,
        "response": {**_RESPONSE, "status": "in_progress", "output": [], "usage": None},
    },
    {
        "type": "response.output_text.delta",
        "sequence_number": 4,
        "item_id": "msg_abc123_0",
        "output_index": 0,
        "content_index": 0,
        "delta": "Hello!",
        "logprobs": [],
    },
    {"type": "response.completed", "sequence_number": 8, "response": _RESPONSE},
)
_WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
_PAGE_PARAMETERS = (
    Parameter("limit", "The count of items on a page.", "query", {"type": "integer", "minimum": 1, "maximum": 100}),
    Parameter(
        "order",
        "`desc` lists the newest item first, `asc` the oldest.",
        "query",
        {"type": "string", "enum": ["desc", "asc"]},
    ),
    Parameter("after", "The page starts after the item with this id.", "query"),
)
_STREAM_PARAMETERS = (
    Parameter("stream", "Stream the events of a background response.", "query", {"type": "boolean"}),
    Parameter(
        "starting_after",
        "The stream starts after the event with this sequence number.",
        "query",
        {"type": "integer", "minimum": 0},
    ),
)

CREATE_RESPONSE = OperationSpec(
    Tag.CHAT,
    "Create a response (OpenAI Responses)",
    {
        200: ResponseSpec(
            "The response; with `stream`, its events as server-sent events.",
            ResponseObject,
            _RESPONSE,
            stream_model=ResponsesStreamEvent,
            stream_example=_STREAM,
        )
    },
    body=RequestBodySpec(
        ResponsesRequest,
        {
            "response": _REQUEST,
            "stream": {**_REQUEST, "stream": True},
            "not stored": {**_REQUEST, "store": False},
            "client tools": {**_REQUEST, "tools": [_WEATHER]},
        },
    ),
    error_statuses=JOB_ERROR_STATUSES,
)
GET_RESPONSE = OperationSpec(
    Tag.CHAT,
    "Get a stored response",
    {
        200: ResponseSpec(
            "The current state of the response.",
            ResponseObject,
            _RESPONSE,
            stream_model=ResponsesStreamEvent,
            stream_example=_STREAM,
        )
    },
    parameters=(_ID, *_STREAM_PARAMETERS),
    error_statuses=(400, 404),
)
DELETE_RESPONSE = OperationSpec(
    Tag.CHAT,
    "Delete a stored response",
    {
        200: ResponseSpec(
            "The response is deleted.",
            DeleteResponseResult,
            {"id": "resp_abc123", "object": "response", "deleted": True},
        )
    },
    parameters=(_ID,),
    error_statuses=(404,),
)
CANCEL_RESPONSE = OperationSpec(
    Tag.CHAT,
    "Cancel a background response",
    {200: ResponseSpec("The current state of the response.", ResponseObject, {**_RESPONSE, "status": "cancelled"})},
    parameters=(_ID,),
    error_statuses=(400, 404),
)
LIST_INPUT_ITEMS = OperationSpec(
    Tag.CHAT,
    "List the input items of a stored response",
    {
        200: ResponseSpec(
            "A page of the input items.",
            InputItemList,
            {"object": "list", "data": [], "has_more": False, "first_id": None, "last_id": None},
        )
    },
    parameters=(_ID, *_PAGE_PARAMETERS),
    error_statuses=(400, 404),
)
