"""Dialect for requests in the format of OpenAI's Chat Completions API.

A second dialect in this module is for bodies in the Responses format that clients send to `/v1/chat/completions`.
"""

import time
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import Any

from claude_gateway.config import Settings
from claude_gateway.core.errors import bad_request
from claude_gateway.dialects.common.dialect_name import DialectName
from claude_gateway.dialects.common.parameters.numbers import format_range_error
from claude_gateway.dialects.common.tools.custom_tool_events import CustomToolEventDecoder
from claude_gateway.dialects.openai_chat.choices import ChatChoicesBodyBuilder, ChatChoicesStreamEncoder
from claude_gateway.dialects.openai_chat.encode import ChatBodyBuilder, ChatStreamEncoder, CompletionIdentity
from claude_gateway.dialects.openai_chat.parse import ParsedChatRequest
from claude_gateway.dialects.openai_chat.schema import ChatRequest
from claude_gateway.dialects.openai_responses.parse import ParsedResponsesRequest
from claude_gateway.dialects.openai_responses.schema import ResponsesRequest
from claude_gateway.jobs.merge_streams import merge_streams
from claude_gateway.request_reading.formats import CHAT_FORMAT, RESPONSES_FORMAT
from claude_gateway.web.context.client_request import ClientRequest
from claude_gateway.web.dialects.dialect import (
    CollectedBody,
    Dialect,
    EncodedStream,
    PreparedRequest,
    StoredConversation,
    get_only_stream,
)
from claude_gateway.web.dialects.openai_common import (
    get_openai_status,
    openai_error_object,
    openai_model_list_object,
    openai_model_object,
)
from claude_gateway.web.dialects.openai_responses import ResponseConversation
from claude_gateway.web.dialects.rate_limit_headers import openai_rate_limit_headers
from workers.core.events import EventStream


def _create_identity(prepared: PreparedRequest) -> CompletionIdentity:
    return CompletionIdentity(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), prepared.model_name)


def _count_choices(head: ChatRequest, settings: Settings) -> int:
    count = head.n or 1
    if count > settings.max_choices:
        raise bad_request("n", f"{format_range_error(count, 1, settings.max_choices)} (MAX_CHOICES)")
    if count > 1 and head.session_id:
        raise bad_request("n", "a session stores one reply per request; omit `n` or `session_id`")
    return count


def _encode_stream(prepared: PreparedRequest, streams: Sequence[EventStream]) -> EncodedStream:
    parsed: ParsedChatRequest = prepared.parsed
    if len(streams) == 1:
        return streams[0], ChatStreamEncoder(
            _create_identity(prepared),
            include_usage=parsed.include_usage,
            legacy=parsed.legacy,
            custom_tools=parsed.custom_tools,
        )
    encoder = ChatChoicesStreamEncoder(
        _create_identity(prepared),
        len(streams),
        include_usage=parsed.include_usage,
        legacy=parsed.legacy,
        custom_tools=parsed.custom_tools,
    )
    return merge_streams(streams), encoder


def _collect_body(prepared: PreparedRequest, streams: Sequence[EventStream]) -> CollectedBody:
    parsed: ParsedChatRequest = prepared.parsed
    if len(streams) == 1:
        builder = ChatBodyBuilder(_create_identity(prepared), legacy=parsed.legacy, custom_tools=parsed.custom_tools)
        return streams[0], builder
    return merge_streams(streams), ChatChoicesBodyBuilder(
        _create_identity(prepared), len(streams), legacy=parsed.legacy, custom_tools=parsed.custom_tools
    )


def _find_variant(head: Any) -> Dialect | None:
    return CHAT_FROM_RESPONSES if isinstance(head, ResponsesRequest) else None


def _check_responses_body(head: ResponsesRequest) -> None:
    for name in ("previous_response_id", "background"):
        if getattr(head, name):
            raise bad_request(name, "the gateway does not store chat completions; send this request to /v1/responses")


async def _open_empty_conversation(_: ClientRequest, __: Any, ___: AsyncExitStack) -> StoredConversation:
    return ResponseConversation()


def _encode_stream_from_responses(prepared: PreparedRequest, streams: Sequence[EventStream]) -> EncodedStream:
    parsed: ParsedResponsesRequest = prepared.parsed
    encoder = ChatStreamEncoder(_create_identity(prepared), include_usage=parsed.include_usage)
    return _with_custom_tool_calls(parsed, get_only_stream(streams)), encoder


def _collect_body_from_responses(prepared: PreparedRequest, streams: Sequence[EventStream]) -> CollectedBody:
    builder = ChatBodyBuilder(_create_identity(prepared))
    return _with_custom_tool_calls(prepared.parsed, get_only_stream(streams)), builder


async def _with_custom_tool_calls(parsed: ParsedResponsesRequest, batches: EventStream) -> EventStream:
    decoder = CustomToolEventDecoder({name for name, tool in parsed.client_tools.items() if tool.kind == "custom"})
    async with aclosing(batches):
        async for batch in batches:
            if decoded := [decoded_event for event in batch for decoded_event in decoder.feed(event)]:
                yield decoded


OPENAI_CHAT = Dialect(
    name=DialectName.OPENAI_CHAT,
    endpoint="POST /v1/chat/completions",
    format=CHAT_FORMAT,
    encode_stream=_encode_stream,
    collect_body=_collect_body,
    error_object=openai_error_object,
    error_status=get_openai_status,
    rate_limit_headers=openai_rate_limit_headers,
    model_object=openai_model_object,
    model_list_object=openai_model_list_object,
    find_variant=_find_variant,
    count_choices=_count_choices,
)
# Cursor's agent mode sends a Responses body to /v1/chat/completions, and expects a chat completion as the response.
CHAT_FROM_RESPONSES = replace(
    OPENAI_CHAT,
    format=RESPONSES_FORMAT,
    encode_stream=_encode_stream_from_responses,
    collect_body=_collect_body_from_responses,
    find_variant=lambda _: None,
    check_request=_check_responses_body,
    open_conversation=_open_empty_conversation,
    has_sessions=False,
    count_choices=lambda _, __: 1,
)
