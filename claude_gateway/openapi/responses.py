"""What `web/responses.py` takes and answers: OpenAI's Responses, and what is asked of the stored ones."""

from typing import Any, Literal

from claude_gateway.dialects.openai_responses.wire import ResponsesRequest
from claude_gateway.openapi.chat import ANSWERED, MODEL
from claude_gateway.openapi.failures import OF_A_JOB
from claude_gateway.openapi.operation import Answer, Answered, Body, Group, Operation, Parameter
from claude_gateway.openapi.response_events import ResponsesStreamEvent
from claude_gateway.openapi.response_object import ResponseObject


class InputItems(Answered):
    """Items are the caller's own."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    has_more: bool
    first_id: str | None
    last_id: str | None


class DeletedResponse(Answered):
    id: str
    object: Literal["response"]
    deleted: Literal[True]


_ID = Parameter("id", "The response.", example="resp_abc123")
_ASKED: dict[str, Any] = {"model": MODEL, "input": "Hello!"}
_RESPONSE: dict[str, Any] = {
    "id": "resp_abc123",
    "object": "response",
    "created_at": 1_768_471_800,
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "model": ANSWERED,
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
_PAGE = (
    Parameter("limit", "How many.", "query", {"type": "integer", "minimum": 1, "maximum": 100}),
    Parameter("order", "The newest first, or the oldest.", "query", {"type": "string", "enum": ["desc", "asc"]}),
    Parameter("after", "The page behind this item.", "query"),
)
_FOLLOWED = (
    Parameter("stream", "As a stream, of one made in the background.", "query", {"type": "boolean"}),
    Parameter("starting_after", "Behind the event of this number.", "query", {"type": "integer", "minimum": 0}),
)

OPERATIONS = (
    Operation(
        "post",
        "/v1/responses",
        Group.CHAT,
        "OpenAI Responses",
        {
            200: Answer(
                "A response; with `stream` its events, as they come.",
                ResponseObject,
                _RESPONSE,
                stream=ResponsesStreamEvent,
                stream_example=_STREAM,
            )
        },
        body=Body(
            ResponsesRequest,
            {
                "response": _ASKED,
                "stream": {**_ASKED, "stream": True},
                "not stored": {**_ASKED, "store": False},
                "tools of the caller": {**_ASKED, "tools": [_WEATHER]},
            },
        ),
        errors=OF_A_JOB,
    ),
    Operation(
        "get",
        "/v1/responses/{id}",
        Group.CHAT,
        "A stored response",
        {
            200: Answer(
                "The response as it stands.",
                ResponseObject,
                _RESPONSE,
                stream=ResponsesStreamEvent,
                stream_example=_STREAM,
            )
        },
        parameters=(_ID, *_FOLLOWED),
        errors=(400, 404),
    ),
    Operation(
        "delete",
        "/v1/responses/{id}",
        Group.CHAT,
        "Delete a stored response",
        {200: Answer("It is deleted.", DeletedResponse, {"id": "resp_abc123", "object": "response", "deleted": True})},
        parameters=(_ID,),
        errors=(404,),
    ),
    Operation(
        "post",
        "/v1/responses/{id}/cancel",
        Group.CHAT,
        "End a response that is made in the background",
        {200: Answer("The response as it stands.", ResponseObject, {**_RESPONSE, "status": "cancelled"})},
        parameters=(_ID,),
        errors=(400, 404),
    ),
    Operation(
        "get",
        "/v1/responses/{id}/input_items",
        Group.CHAT,
        "What a stored response was made of",
        {
            200: Answer(
                "A page of the items.",
                InputItems,
                {"object": "list", "data": [], "has_more": False, "first_id": None, "last_id": None},
            )
        },
        parameters=(_ID, *_PAGE),
        errors=(400, 404),
    ),
)
