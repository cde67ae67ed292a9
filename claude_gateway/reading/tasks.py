"""The steps in which a request is read. Each can run in another process. Pure.

A large request crosses from process to process as the bytes that the client sent. It is read twice: once for its
`head`, by which the gateway finds the model, the session and what the request goes on from, and once more as a whole.
Both are short beside what is done with it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from pydantic import BaseModel

from claude_gateway.prompt.conversation import Remembered
from claude_gateway.reading.json_body import Body, read_object, validated
from claude_gateway.reading.weight import check_weight
from workers.job import ChatJob, Turn

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)
# The model of a body, and the body as it is to be validated.
Choose = Callable[[dict[str, Any]], tuple[type[Model], dict[str, Any]]]
# What of the long fields of a request is needed before the whole of it is read.
Keep = Callable[[Model], Mapping[str, Any]]
# The model that gave an answer, and the id of a call in it.
Wanted = tuple[str, str]

# Longer than any name that a request may give, so that one that is too long stays too long.
_MAX_NAME_CHARS = 1_000


@dataclass(eq=False, slots=True)
class KnownReplies:
    """The answers that a parser asks for, where the gateway's memory of them is in another process.

    Attributes:
        known: Those that it has been given.
        wanted: Those that it did not have.
    """

    known: Mapping[Wanted, Turn]
    wanted: list[Wanted] = field(default_factory=list)

    def __call__(self, model: str, call: str) -> Turn | None:
        if (model, call) not in self.known:
            self.wanted.append((model, call))
        return self.known.get((model, call))


def read(body: Body, choose: Choose[Model]) -> Model:
    """The whole request. Raises `ApiError` as `read_object` and `validated` do."""
    return validated(*choose(read_object(body)))


def read_head(body: Body, choose: Choose[Model], keep: Keep[Model] | None = None) -> Model:
    """The request with nothing long in it but what `keep` returns. Raises as `read`."""
    asked = read(body, choose)
    head = without_content(asked)
    return head if keep is None else head.model_copy(update=dict(keep(asked)))


def without_content(asked: Model) -> Model:
    """The same request with empty lists and objects, short strings, and no fields that nobody knows.

    A list that was sent stays a list: whether it was sent can still be told.
    """
    kept = {name: _short(value) for name, value in vars(asked).items()}
    return type(asked).model_construct(set(asked.model_fields_set) & kept.keys(), **kept)


def parse_whole(
    body: Body,
    choose: Choose[Any],
    parse: Callable[..., T],
    arguments: tuple[Any, ...],
    known: Mapping[Wanted, Turn],
) -> tuple[T, list[Wanted]]:
    """What the dialect's parser makes of the request, and the answers that it asked for and did not get.

    Raises `ApiError` as `read`, `parse` and `check_weight` do.
    """
    replies = KnownReplies(known)
    given = tuple(replace(one, reply=replies) if isinstance(one, Remembered) else one for one in arguments)
    parsed = parse(read(body, choose), *given)
    job = getattr(parsed, "job", None)
    if isinstance(job, ChatJob):
        check_weight(job)
    return parsed, replies.wanted


def _short(value: Any) -> Any:
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
