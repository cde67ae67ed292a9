"""Dialect for requests in the format of Google's Gemini API."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from claude_gateway.core.errors import ApiError
from claude_gateway.dialects.common.dialect_name import DialectName
from claude_gateway.dialects.gemini import encode, errors, models
from claude_gateway.request_reading.formats import GEMINI_FORMAT
from claude_gateway.web.dialects.dialect import (
    CollectedBody,
    Dialect,
    EncodedStream,
    PreparedRequest,
    get_only_stream,
)
from claude_gateway.web.dialects.rate_limit_headers import gemini_rate_limit_headers
from claude_gateway.web.streaming.framing import Framing, JsonArrayFraming, SseFraming
from workers.core.events import EventStream

_SSE_FRAMING = SseFraming(heartbeat=f"data: {encode.KEEP_ALIVE_DATA}\n\n", has_bare_errors=True)


def _encode_stream(prepared: PreparedRequest, streams: Sequence[EventStream]) -> EncodedStream:
    encoder = encode.GeminiStreamEncoder(
        uuid.uuid4().hex,
        prepared.model_name,
        prepared.client.create_signer(),
        include_thoughts=prepared.parsed.include_thoughts,
    )
    return get_only_stream(streams), encoder


def _collect_body(prepared: PreparedRequest, streams: Sequence[EventStream]) -> CollectedBody:
    builder = encode.GeminiBodyBuilder(
        uuid.uuid4().hex,
        prepared.model_name,
        prepared.client.create_signer(),
        include_thoughts=prepared.parsed.include_thoughts,
    )
    return get_only_stream(streams), builder


def _choose_framing(query: Mapping[str, str]) -> Framing:
    return _SSE_FRAMING if query.get("alt") == "sse" else JsonArrayFraming()


def _error_object(error: ApiError, _: str) -> dict[str, Any]:
    return errors.error_object(error)


def _model_list_object(names: Sequence[str], _: Mapping[str, str]) -> dict[str, Any]:
    return models.model_list_object(names)


GEMINI = Dialect(
    name=DialectName.GEMINI,
    endpoint="POST /v1beta/models/{model}:generateContent",
    format=GEMINI_FORMAT,
    encode_stream=_encode_stream,
    collect_body=_collect_body,
    error_object=_error_object,
    error_status=errors.get_http_status,
    rate_limit_headers=gemini_rate_limit_headers,
    model_object=models.model_object,
    model_list_object=_model_list_object,
    choose_framing=_choose_framing,
    takes_key_in_query=True,
)
