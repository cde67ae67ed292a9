"""A request looked at for `/v1/compatibility` and `/v1/debug/request`. Pure.

The steps are apart from the handlers: each can run in another process.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from claude_gateway.dialects.anthropic import parameters as anthropic_parameters
from claude_gateway.dialects.anthropic.wire import MessagesRequest
from claude_gateway.dialects.gemini import parameters as gemini_parameters
from claude_gateway.dialects.gemini.wire import GenerateContentRequest
from claude_gateway.dialects.openai_chat import parameters as chat_parameters
from claude_gateway.dialects.openai_chat.wire import ChatRequest
from claude_gateway.dialects.openai_responses import parameters as responses_parameters
from claude_gateway.dialects.openai_responses.parse import kept_references
from claude_gateway.dialects.openai_responses.wire import ResponsesRequest
from claude_gateway.errors import ApiError
from claude_gateway.inspection import report, shown
from claude_gateway.inspection.told_by import Kind, kind_of
from claude_gateway.prompt.parameters import Treated
from claude_gateway.reading.json_body import Body, read_object, validated
from claude_gateway.reading.tasks import Choose, without_content
from workers.job import ChatJob

MODELS: Mapping[Kind, type[BaseModel]] = {
    Kind.CHAT: ChatRequest,
    Kind.RESPONSES: ResponsesRequest,
    Kind.MESSAGES: MessagesRequest,
    Kind.GEMINI: GenerateContentRequest,
}
PARAMETERS: Mapping[Kind, Any] = {
    Kind.CHAT: chat_parameters,
    Kind.RESPONSES: responses_parameters,
    Kind.MESSAGES: anthropic_parameters,
    Kind.GEMINI: gemini_parameters,
}
_MAX_NAME_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class Examined:
    """A request as it was read.

    Attributes:
        kind: The dialect that it is in.
        told_by: By what that was told.
        treated: What becomes of its first parameters.
        named_model: The model that a body of Google's dialect names, whose place is the path; "" for none.
        asked: The request without what is long in it; None where it is refused.
        error: What it is refused with.
    """

    kind: Kind
    told_by: str
    treated: tuple[Treated, ...]
    named_model: str
    asked: BaseModel | None = None
    error: ApiError | None = None


def inspected_model(
    headers: Collection[str], named: str | None, sent: dict[str, Any]
) -> tuple[type[BaseModel], dict[str, Any]]:
    """The model and what is validated; `headers` are the names of the request's, `named` is the dialect by name."""
    kind, _ = kind_of(sent, headers, named)
    return MODELS[kind], _whole(kind, sent)


def examine(body: Body, _choose: Choose[BaseModel], headers: Collection[str], named: str | None) -> Examined:
    """Raises `ApiError` for what is no JSON object, and for a dialect that is none."""
    sent = read_object(body)
    kind, told_by = kind_of(sent, headers, named)
    sent = _whole(kind, sent)
    treated = tuple(
        replace(one, name=one.name[:_MAX_NAME_CHARS]) for one in PARAMETERS[kind].treated(sent)[: report.MAX_NAMES]
    )
    model = sent.get("model")
    examined = Examined(kind, told_by, treated, model[:_MAX_NAME_CHARS] if isinstance(model, str) else "")
    try:
        asked = validated(MODELS[kind], sent)
    except ApiError as error:
        return replace(examined, error=error)
    head = without_content(asked)
    if isinstance(asked, ResponsesRequest):
        head = head.model_copy(update=kept_references(asked))
    return replace(examined, asked=head)


def describe(body: Body, choose: Choose[BaseModel], job: ChatJob | None, secrets: Collection[str]) -> tuple[Any, Any]:
    """The request and the job that it became, as their client may see them; None for what there is not."""
    model, sent = choose(read_object(body))
    try:
        asked = validated(model, sent).model_dump(exclude_unset=True, by_alias=True)
    except ApiError:
        return None, None
    return shown.value(asked, secrets), shown.value(job, secrets)


def _whole(kind: Kind, sent: dict[str, Any]) -> dict[str, Any]:
    match sent:
        case {"extra_body": dict(extra), **rest} if kind is Kind.CHAT:
            return {**rest, **extra}
    return sent
