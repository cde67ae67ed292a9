"""Functions that parse a request in two steps. The gateway can run each step in another process. No I/O.

The gateway sends the bytes of a large request to the other process in each step. In the first step, the process parses
the request and returns only the short fields (the head). The head tells the gateway which model, which session and
which stored history the request needs. In the second step, the process parses the request again and converts all of it
to a job. Parsing the request twice takes little time compared with the other work on the request.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from pydantic import BaseModel

from claude_gateway.dialects.common.content.conversation import SessionHistory
from claude_gateway.request_reading.job_limits import check_job_limits
from claude_gateway.request_reading.json_body import RequestBody, parse_object, validate_schema
from workers.core.job import ChatJob, Turn

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)
# A function that returns the schema for a body, and the body that the schema must validate.
ChooseSchema = Callable[[dict[str, Any]], tuple[type[Model], dict[str, Any]]]
# A function that returns the long fields of a request that the gateway needs before it parses the whole request.
KeepFields = Callable[[Model], Mapping[str, Any]]
# The key under which the gateway finds a stored reply: the model of the reply, and the id of a tool call in the reply.
ReplyId = tuple[str, str]

# Maximum length of strings in the head of a request. This length is longer than any valid name, so that a name that is
# too long is still too long after `strip_content` has truncated it.
_MAX_NAME_CHARS = 1_000


@dataclass(eq=False, slots=True)
class KnownReplies:
    """Function object that finds stored replies for a parser that runs in another process without a database.

    Attributes:
        replies: The replies that the gateway sent to the other process.
        missing: The ids of the replies that the parser looked for and that the gateway did not send.
    """

    replies: Mapping[ReplyId, Turn]
    missing: list[ReplyId] = field(default_factory=list)

    def __call__(self, model: str, call_id: str) -> Turn | None:
        """Return the stored reply that contains the tool call.

        If the reply is not in `replies`, the method adds its id to `missing` and returns None.
        """
        if (model, call_id) not in self.replies:
            self.missing.append((model, call_id))
        return self.replies.get((model, call_id))


def parse_request(body: RequestBody, choose: ChooseSchema[Model]) -> Model:
    """Parse the body and return the whole request.

    Raises:
        ApiError: The errors of `parse_object` and `validate_schema`.
    """
    return validate_schema(*choose(parse_object(body)))


def parse_request_head(body: RequestBody, choose: ChooseSchema[Model], keep: KeepFields[Model] | None = None) -> Model:
    """Parse the body and return only its short fields, together with the long fields that `keep` returns.

    Raises:
        ApiError: The errors of `parse_request`.
    """
    request = parse_request(body, choose)
    head = strip_content(request)
    return head if keep is None else head.model_copy(update=dict(keep(request)))


def strip_content(request: Model) -> Model:
    """Return a copy of the request with short fields only.

    The function truncates strings, empties lists and objects, and omits unknown fields. A list becomes an empty list
    and not None, so that the gateway still knows whether the client sent the field.
    """
    fields = {name: _shorten(value) for name, value in vars(request).items()}
    return type(request).model_construct(set(request.model_fields_set) & fields.keys(), **fields)


def parse_job(
    body: RequestBody,
    choose: ChooseSchema[Any],
    parse: Callable[..., T],
    arguments: tuple[Any, ...],
    known_replies: Mapping[ReplyId, Turn],
) -> tuple[T, list[ReplyId]]:
    """Parse a request with the parser of its dialect, and check the limits of the resulting job.

    Args:
        body: The body of the request.
        choose: Function that returns the schema for the body.
        parse: The parser of the dialect.
        arguments: The arguments with which the function calls the parser, after the request as the first argument.
        known_replies: The stored replies that the parser may use.

    Returns:
        The result of the parser, and the ids of the stored replies that the parser needs but that are not in
        `known_replies`.

    Raises:
        ApiError: The errors of `parse_request`, `parse` and `check_job_limits`.
    """
    replies = KnownReplies(known_replies)
    parser_arguments = tuple(
        replace(argument, find_reply=replies) if isinstance(argument, SessionHistory) else argument
        for argument in arguments
    )
    parsed = parse(parse_request(body, choose), *parser_arguments)
    job = getattr(parsed, "job", None)
    if isinstance(job, ChatJob):
        check_job_limits(job)
    return parsed, replies.missing


def _shorten(value: Any) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return value[:_MAX_NAME_CHARS]
        case list() | tuple():
            return []
        case dict():
            return {}
    return None
