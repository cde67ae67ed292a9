"""Dialect for requests in the format of OpenAI's Responses API. The gateway stores the responses."""

import time
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field, replace
from functools import partial

from claude_gateway.dialects.common.content.remote_media import FetchedMedia, replace_remote_media
from claude_gateway.dialects.common.dialect_name import DialectName
from claude_gateway.dialects.openai_responses.encode import ResponsesBodyBuilder, ResponsesStreamEncoder
from claude_gateway.dialects.openai_responses.input_items import ResponseHistory
from claude_gateway.dialects.openai_responses.parse import ParsedResponsesRequest, find_referenced_ids
from claude_gateway.dialects.openai_responses.response_builder import ResponseBuilder
from claude_gateway.dialects.openai_responses.response_object import ResponseIdentity
from claude_gateway.dialects.openai_responses.schema import ResponsesRequest
from claude_gateway.request_reading.formats import RESPONSES_FORMAT
from claude_gateway.stored_responses.service import ConversationContext, PendingResponse, ResponseService
from claude_gateway.web.context.client_request import ClientRequest
from claude_gateway.web.dialects.dialect import (
    CollectedBody,
    Dialect,
    EncodedStream,
    PreparedRequest,
    get_only_stream,
)
from claude_gateway.web.dialects.openai_common import (
    get_openai_status,
    openai_error_object,
    openai_model_list_object,
    openai_model_object,
)
from claude_gateway.web.dialects.rate_limit_headers import openai_rate_limit_headers
from workers.core.events import EventStream
from workers.core.job import ChatJob


@dataclass(frozen=True, slots=True)
class ResponseConversation:
    """The stored responses that a request continues.

    Attributes:
        context: The turns of the stored responses.
    """

    context: ConversationContext = field(default_factory=ConversationContext)

    @property
    def history(self) -> ResponseHistory:
        """The turns of the stored responses, in the form that the parser accepts."""
        return self.context.history

    def persist_stream(self, job: ChatJob, batches: EventStream) -> EventStream:  # noqa: ARG002 - the protocol has this parameter
        """Return the events unchanged. This method stores nothing, because `ResponseService` stores the response."""
        return batches


async def _open_conversation(
    client: ClientRequest, head: ResponsesRequest, resources: AsyncExitStack
) -> ResponseConversation:
    context = await client.state.stored_responses.load_context(
        client.key.id, head.previous_response_id, find_referenced_ids(head)
    )
    resources.callback(context.release)
    return ResponseConversation(context)


def _with_fetched_media(parsed: ParsedResponsesRequest, fetched_media: FetchedMedia) -> ParsedResponsesRequest:
    """Return the request with the fetched media in the turns that the gateway stores.

    The gateway then does not have to fetch the media again for a later request that continues the response.
    """
    messages = replace_remote_media(parsed.input_messages.messages, fetched_media)
    return replace(parsed, input_messages=replace(parsed.input_messages, messages=messages))


def create_pending_response(prepared: PreparedRequest) -> PendingResponse:
    """Return the data that the gateway needs to store the response to a request."""
    assert isinstance(prepared.conversation, ResponseConversation)
    client = prepared.client
    return PendingResponse(client.key.id, prepared.parsed, prepared.conversation.context, client.context)


def create_identity(prepared: PreparedRequest) -> ResponseIdentity:
    """Return the id, the creation time and the model of a new response."""
    return ResponseIdentity(f"resp_{uuid.uuid4().hex}", int(time.time()), prepared.model_name)


def create_builder(prepared: PreparedRequest, identity: ResponseIdentity) -> ResponseBuilder:
    """Return a builder that makes a response from the events of its reply."""
    parsed: ParsedResponsesRequest = prepared.parsed
    signer = prepared.client.create_signer() if parsed.include_encrypted_reasoning else None
    return ResponseBuilder(identity, parsed.echo, parsed.client_tools, signer)


def _encode_stream(prepared: PreparedRequest, streams: Sequence[EventStream]) -> EncodedStream:
    builder = create_builder(prepared, create_identity(prepared))
    responses = prepared.client.state.stored_responses
    batches = responses.persist_stream(create_pending_response(prepared), builder, get_only_stream(streams))
    return batches, ResponsesStreamEncoder(builder)


def _collect_body(prepared: PreparedRequest, streams: Sequence[EventStream]) -> CollectedBody:
    builder = ResponsesBodyBuilder(partial(create_builder, prepared, create_identity(prepared)))
    batches = get_only_stream(streams)
    if prepared.parsed.store:
        pending = create_pending_response(prepared)
        batches = _store_at_end(prepared.client.state.stored_responses, pending, builder, batches)
    return batches, builder


async def _store_at_end(
    responses: ResponseService, pending: PendingResponse, body_builder: ResponsesBodyBuilder, batches: EventStream
) -> EventStream:
    """Yield the events of a reply. After the last event, store the response, before the gateway sends its body."""
    async with aclosing(batches):
        async for batch in batches:
            yield batch
    if body_builder.builder.is_complete:
        await responses.store_response(pending, body_builder.builder)


OPENAI_RESPONSES = Dialect(
    name=DialectName.OPENAI_RESPONSES,
    endpoint="POST /v1/responses",
    format=RESPONSES_FORMAT,
    encode_stream=_encode_stream,
    collect_body=_collect_body,
    error_object=openai_error_object,
    error_status=get_openai_status,
    rate_limit_headers=openai_rate_limit_headers,
    model_object=openai_model_object,
    model_list_object=openai_model_list_object,
    open_conversation=_open_conversation,
    has_sessions=False,
    with_fetched_media=_with_fetched_media,
)
