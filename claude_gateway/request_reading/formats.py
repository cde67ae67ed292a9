"""Table of the request formats, with the schema, the parser and the parameters of each dialect. No I/O.

This module is separate from the HTTP handlers, because the processes that parse requests do not import the web server.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from claude_gateway.core.errors import bad_request
from claude_gateway.dialects.anthropic import parameters as anthropic_parameters
from claude_gateway.dialects.anthropic.parse import parse as parse_messages
from claude_gateway.dialects.anthropic.schema import MessagesRequest
from claude_gateway.dialects.common.content.signed_thinking import ThinkingSigner
from claude_gateway.dialects.common.content.token_count import estimate_prompt_tokens
from claude_gateway.dialects.common.dialect_name import DialectName
from claude_gateway.dialects.common.parameters.support import ParameterSupport, SupportTable
from claude_gateway.dialects.gemini import parameters as gemini_parameters
from claude_gateway.dialects.gemini.parse import parse as parse_gemini
from claude_gateway.dialects.gemini.schema import CountTokensRequest, GenerateContentRequest
from claude_gateway.dialects.openai_chat import parameters as chat_parameters
from claude_gateway.dialects.openai_chat.parse import parse as parse_chat
from claude_gateway.dialects.openai_chat.schema import ChatRequest
from claude_gateway.dialects.openai_responses import parameters as responses_parameters
from claude_gateway.dialects.openai_responses.parse import keep_only_references
from claude_gateway.dialects.openai_responses.parse import parse as parse_responses
from claude_gateway.dialects.openai_responses.schema import ResponsesRequest
from claude_gateway.request_reading.tasks import ChooseSchema, KeepFields

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RequestFormat:
    """The format of the request bodies in one dialect.

    Attributes:
        schema: The pydantic model of the body.
        choose_schema: Function that returns the schema for a body, and the body itself.
        parse: Function that converts the validated request to a job. After the request, its arguments are the id of the
            key, the name of the model, the signer if `takes_signer` is True, and the history if there is one.
        takes_signer: Whether the parser verifies the signatures of thinking that clients send back.
        keep_fields: Function that returns the long fields that the gateway needs before it parses the whole request;
            None if the gateway needs no long fields.
        parameters: Table that says for each parameter whether the gateway supports it.
        classify: Function that returns, for each parameter in a body, whether and how the gateway supports it.
    """

    schema: type[BaseModel]
    choose_schema: ChooseSchema[Any]
    parse: Callable[..., Any]
    takes_signer: bool = False
    keep_fields: KeepFields[Any] | None = None
    parameters: SupportTable = field(default_factory=dict)
    classify: Callable[[Mapping[str, Any]], list[ParameterSupport]] = lambda _: []


def choose_chat_schema(body_object: JsonObject) -> tuple[type[ChatRequest | ResponsesRequest], JsonObject]:
    """Return the schema for a body that a client sent to `/v1/chat/completions`, and the body unchanged.

    Some clients send Responses bodies to this path.
    """
    return (ResponsesRequest if is_responses_body(body_object) else ChatRequest), body_object


def is_responses_body(body_object: Mapping[str, Any]) -> bool:
    """Return whether a body is in the format of the Responses API.

    Such a body has the field `input`. Some clients also send an empty field `messages`.
    """
    return "input" in body_object and not body_object.get("messages")


def choose_messages_schema(body_object: JsonObject) -> tuple[type[MessagesRequest], JsonObject]:
    """Return the schema for the body of a Messages request, and the body unchanged."""
    return MessagesRequest, body_object


def choose_responses_schema(body_object: JsonObject) -> tuple[type[ResponsesRequest], JsonObject]:
    """Return the schema for the body of a Responses request, and the body unchanged."""
    return ResponsesRequest, body_object


def choose_gemini_schema(body_object: JsonObject) -> tuple[type[GenerateContentRequest], JsonObject]:
    """Return the schema for the body of a Gemini request, and the body unchanged."""
    return GenerateContentRequest, body_object


def choose_gemini_count_schema(body_object: JsonObject) -> tuple[type[CountTokensRequest], JsonObject]:
    """Return the schema for the body of a Gemini request that counts tokens, and the body unchanged."""
    return CountTokensRequest, body_object


def count_messages_tokens(request: MessagesRequest, key_id: str, model: str) -> int:
    """Estimate the number of prompt tokens of a Messages request."""
    return estimate_prompt_tokens(parse_messages(request, key_id, model).job)


def count_gemini_tokens(request: CountTokensRequest, key_id: str, model: str, signer: ThinkingSigner) -> int:
    """Estimate the number of prompt tokens of a Gemini request.

    Raises:
        ApiError: 400 if the body has no contents.
    """
    if request.request_to_count is None:
        raise bad_request("contents", "there is nothing to count; send contents or a generateContentRequest")
    return estimate_prompt_tokens(parse_gemini(request.request_to_count, key_id, model, signer).job)


CHAT_FORMAT = RequestFormat(
    ChatRequest,
    choose_chat_schema,
    parse_chat,
    parameters=chat_parameters.PARAMETERS,
    classify=chat_parameters.classify,
)
RESPONSES_FORMAT = RequestFormat(
    ResponsesRequest,
    choose_responses_schema,
    parse_responses,
    takes_signer=True,
    keep_fields=keep_only_references,
    parameters=responses_parameters.PARAMETERS,
    classify=responses_parameters.classify,
)
MESSAGES_FORMAT = RequestFormat(
    MessagesRequest,
    choose_messages_schema,
    parse_messages,
    parameters=anthropic_parameters.PARAMETERS,
    classify=anthropic_parameters.classify,
)
GEMINI_FORMAT = RequestFormat(
    GenerateContentRequest,
    choose_gemini_schema,
    parse_gemini,
    takes_signer=True,
    parameters=gemini_parameters.PARAMETERS,
    classify=gemini_parameters.classify,
)
MESSAGES_COUNT_FORMAT = RequestFormat(MessagesRequest, choose_messages_schema, count_messages_tokens)
GEMINI_COUNT_FORMAT = RequestFormat(
    CountTokensRequest, choose_gemini_count_schema, count_gemini_tokens, takes_signer=True
)
REQUEST_FORMATS: Mapping[DialectName, RequestFormat] = {
    DialectName.OPENAI_CHAT: CHAT_FORMAT,
    DialectName.OPENAI_RESPONSES: RESPONSES_FORMAT,
    DialectName.ANTHROPIC: MESSAGES_FORMAT,
    DialectName.GEMINI: GEMINI_FORMAT,
}
