"""Class `Dialect`. It holds the data and functions by which the four APIs differ in their requests and responses."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from claude_gateway.auth.rate_limit import RateLimitState
from claude_gateway.builtin_tools.service import ToolRequest
from claude_gateway.config import Settings
from claude_gateway.core.errors import ApiError
from claude_gateway.dialects.common.content.remote_media import FetchedMedia
from claude_gateway.dialects.common.dialect_name import DialectName
from claude_gateway.dialects.common.tools.hosted_tools import HostedTool
from claude_gateway.request_reading.formats import RequestFormat
from claude_gateway.web.context.client_request import ClientRequest
from claude_gateway.web.streaming.framing import SSE_FRAMING, Framing
from claude_gateway.web.streaming.sse import EventT_contra, StreamEncoder
from workers.core.events import EventStream
from workers.core.job import ChatJob

JsonObject = dict[str, Any]


class ParsedRequest(Protocol):
    """Interface with the fields that the parsed requests of all dialects have."""

    @property
    def job(self) -> ChatJob:
        """The job that a worker runs for the request."""
        ...

    @property
    def hosted_tools(self) -> tuple[HostedTool, ...]:
        """The tools that the client asks the provider of the API to run, such as web search."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """One warning for each parameter that the gateway does not apply, with the reason."""
        ...


class StoredConversation(Protocol):
    """Interface of the conversation that a request continues.

    The conversation is a session, or it consists of stored responses. If a request continues nothing, it is empty.
    """

    @property
    def history(self) -> Any:
        """The earlier turns of the conversation, in the form that the parser of the dialect accepts."""
        ...

    def persist_stream(self, job: ChatJob, batches: EventStream) -> EventStream:
        """Return the events of the job, and store the reply if the gateway stores the conversation."""
        ...


class BodyBuilder(Protocol[EventT_contra]):
    """Interface of a builder that makes the JSON body of a response from the events of a reply."""

    def feed(self, event: EventT_contra, /) -> None:
        """Add one event of the reply."""
        ...

    def body(self) -> JsonObject:
        """Return the complete body.

        Raises:
            ApiError: The events ended before the reply was complete.
        """
        ...


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """A request whose job is ready to run.

    Attributes:
        dialect: The dialect of the response.
        client: The request of the client, without its body.
        parsed: The parsed request of the dialect, with its built-in tools and its media.
        conversation: The conversation that the request continues.
        model_name: The model name that the response contains.
        is_streamed: Whether the gateway sends the response as a stream.
        choice_count: The number of replies that the client wants.
    """

    dialect: "Dialect"
    client: ClientRequest
    parsed: Any
    conversation: StoredConversation
    model_name: str
    is_streamed: bool
    choice_count: int = 1

    @property
    def job(self) -> ChatJob:
        """The job that a worker runs for the request."""
        job: ChatJob = self.parsed.job
        return job


# The batches of events of a response, together with the encoder for its stream or the builder for its body.
EncodedStream = tuple[AsyncGenerator[Sequence[Any], None], StreamEncoder[Any]]
CollectedBody = tuple[AsyncGenerator[Sequence[Any], None], BodyBuilder[Any]]


def get_only_stream(streams: Sequence[EventStream]) -> EventStream:
    """Return the events of the only reply, for a dialect in which a response has one reply."""
    (stream,) = streams
    return stream


async def open_session(client: ClientRequest, head: Any, resources: AsyncExitStack) -> StoredConversation:
    """Open the session that the request names. The session stays open until the calling code closes `resources`."""
    if not head.session_id:
        return client.state.sessions.no_session(client.key.id)
    return await resources.enter_async_context(client.state.sessions.open_session(client.key.id, head.session_id))


def _create_tool_request(_: Settings, head: Any, parsed: ParsedRequest) -> ToolRequest:
    return ToolRequest(
        bool(head.enable_tools),
        bool(head.stream_tool_progress),
        getattr(head, "session_id", None),
        parsed.hosted_tools,
    )


def _return_none(_: Any) -> None:
    pass


def _use_sse(_: Mapping[str, str]) -> Framing:
    return SSE_FRAMING


def _count_one_choice(_: Any, __: Settings) -> int:
    return 1


def _without_changes(parsed: Any, _: FetchedMedia) -> Any:
    return parsed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dialect:
    """Data and functions for the requests, responses, errors and headers of a dialect.

    Attributes:
        name: The name of the dialect in usage records and metrics.
        endpoint: The method and the path of requests, for `/v1/compatibility` and `/v1/debug/request`.
        format: The schema and the parser of requests.
        encode_stream: Returns the events of a prepared request, and the encoder that makes the stream from them.
        collect_body: Returns the events of a prepared request, and the builder that makes the body from them.
        error_object: Converts an error to the body of the response. Its second argument is the request id.
        error_status: Returns the HTTP status for an error.
        rate_limit_headers: Returns the response headers that describe the state of the rate limit at a given time.
        model_object: Returns the JSON description of the model with a given name.
        model_list_object: Returns the JSON list of the models with given names. Its second argument is the query.
        find_variant: Returns another dialect if the body is in the format of that dialect; otherwise None.
        check_request: Raises `ApiError` if the endpoint does not accept the request.
        open_conversation: Opens the conversation that a request continues. The conversation stays open until the
            gateway has sent the response.
        has_sessions: Whether requests in this dialect can continue a session.
        create_tool_request: Returns the built-in and hosted tools that a request asks for. Its arguments are the
            settings, the request and the parsed request.
        count_choices: Returns the number of replies that a request asks for. Raises `ApiError` 400 if it is too high.
        with_fetched_media: Returns the parsed request with the content of the fetched media instead of their URLs, in
            the fields that the gateway stores.
        choose_framing: Returns the format in which the gateway sends a stream. Its argument is the query.
        request_id_header: The name of a second response header with the request id, because clients of this dialect
            read that header; "" if the response has no second header.
        takes_key_in_query: Whether clients may send the API key in the query.
    """

    name: DialectName
    endpoint: str
    format: RequestFormat
    encode_stream: Callable[[PreparedRequest, Sequence[EventStream]], EncodedStream]
    collect_body: Callable[[PreparedRequest, Sequence[EventStream]], CollectedBody]
    error_object: Callable[[ApiError, str], JsonObject]
    error_status: Callable[[ApiError], int]
    rate_limit_headers: Callable[[RateLimitState, datetime], dict[str, str]]
    model_object: Callable[[str], JsonObject]
    model_list_object: Callable[[Sequence[str], Mapping[str, str]], JsonObject]
    find_variant: "Callable[[Any], Dialect | None]" = _return_none
    check_request: Callable[[Any], None] = _return_none
    open_conversation: Callable[[ClientRequest, Any, AsyncExitStack], Awaitable[StoredConversation]] = open_session
    has_sessions: bool = True
    create_tool_request: Callable[[Settings, Any, ParsedRequest], ToolRequest] = _create_tool_request
    count_choices: Callable[[Any, Settings], int] = _count_one_choice
    with_fetched_media: Callable[[Any, FetchedMedia], Any] = _without_changes
    choose_framing: Callable[[Mapping[str, str]], Framing] = _use_sse
    request_id_header: str = ""
    takes_key_in_query: bool = False
