"""Dialect for requests in the format of Anthropic's Messages API."""

import uuid
from collections.abc import Sequence

from claude_gateway.builtin_tools.service import ToolRequest
from claude_gateway.config import Settings
from claude_gateway.dialects.anthropic import encode, errors, models
from claude_gateway.dialects.anthropic.schema import MessagesRequest
from claude_gateway.dialects.common.dialect_name import DialectName
from claude_gateway.request_reading.formats import MESSAGES_FORMAT
from claude_gateway.web.dialects.dialect import (
    CollectedBody,
    Dialect,
    EncodedStream,
    ParsedRequest,
    PreparedRequest,
    get_only_stream,
)
from claude_gateway.web.dialects.rate_limit_headers import anthropic_rate_limit_headers
from workers.core.events import EventStream


def _create_message_id() -> str:
    return f"msg_{uuid.uuid4().hex}"


def _create_tool_request(settings: Settings, head: MessagesRequest, parsed: ParsedRequest) -> ToolRequest:
    return ToolRequest(
        _wants_builtin_tools(settings, head),
        bool(head.stream_tool_progress),
        head.session_id,
        parsed.hosted_tools,
        supports_tool_calls=True,
    )


def _wants_builtin_tools(settings: Settings, head: MessagesRequest) -> bool:
    """Return whether Claude may use its built-in tools for a request.

    The operator's setting applies only if the request has no `tools` field. A request with an empty `tools` list says
    that the client wants no tools.
    """
    if head.enable_tools is not None:
        return head.enable_tools
    return settings.messages_enable_tools and head.tools is None


def _encode_stream(prepared: PreparedRequest, streams: Sequence[EventStream]) -> EncodedStream:
    return get_only_stream(streams), encode.MessagesStreamEncoder(_create_message_id(), prepared.model_name)


def _collect_body(prepared: PreparedRequest, streams: Sequence[EventStream]) -> CollectedBody:
    return get_only_stream(streams), encode.MessagesBodyBuilder(_create_message_id(), prepared.model_name)


ANTHROPIC = Dialect(
    name=DialectName.ANTHROPIC,
    endpoint="POST /v1/messages",
    format=MESSAGES_FORMAT,
    encode_stream=_encode_stream,
    collect_body=_collect_body,
    error_object=errors.error_object,
    error_status=errors.get_http_status,
    rate_limit_headers=anthropic_rate_limit_headers,
    model_object=models.model_object,
    model_list_object=models.model_list_object,
    create_tool_request=_create_tool_request,
    # Anthropic's client libraries read the request id from this header.
    request_id_header="request-id",
)
