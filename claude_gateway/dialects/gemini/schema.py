"""Pydantic models for the body of a Gemini request.

Field names may be in camel case or snake case, enum values may be in any case, and the client may send a single object
in place of a list. Google's clients and examples use all these forms. Schemas, call arguments and function responses
have the type `Any`, so that pydantic does not change them.
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from claude_gateway.dialects.common.parameters.list_limits import MAX_CONTENT_PARTS, MAX_MESSAGES
from claude_gateway.dialects.common.parameters.numbers import (
    MAX_INTEGER,
    CountOrText,
    IntegerOrText,
    Number,
    Probability,
    Range,
)
from claude_gateway.dialects.gemini.parameters import drop_unset_fields

ItemT = TypeVar("ItemT")


def _lowercase(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _as_list(value: Any) -> Any:
    return value if value is None or isinstance(value, list) else [value]


def _as_content(value: Any) -> Any:
    """Convert a string or a single text part to a content. Return any other value unchanged."""
    if isinstance(value, str):
        return {"parts": [{"text": value}]}
    if isinstance(value, dict) and "text" in value and "parts" not in value:
        return {"parts": [value]}
    return value


OneOrMany = Annotated[list[ItemT], Field(fail_fast=True, max_length=MAX_CONTENT_PARTS), BeforeValidator(_as_list)]


class GeminiSchema(BaseModel):
    """Base class of all models in this module. It keeps unknown fields, so that warnings can name them."""

    model_config = ConfigDict(extra="allow", frozen=True, alias_generator=to_camel, validate_by_name=True)

    @property
    def unknown_fields(self) -> dict[str, Any]:
        """Fields of the request that this model does not define."""
        return self.model_extra or {}


class GeminiParametersSchema(GeminiSchema):
    """Base class of the models that contain request parameters. It drops parameters with a value for "not set"."""

    @model_validator(mode="before")
    @classmethod
    def _drop_unset_fields(cls, value: Any) -> Any:
        return drop_unset_fields(value) if isinstance(value, dict) else value


class Blob(GeminiSchema):
    """An image or a document as base64 data."""

    mime_type: str
    data: str


class FileData(GeminiSchema):
    """An image or a document at a URL."""

    file_uri: str | None = None


class GeminiFunctionCall(GeminiSchema):
    """A function call that the model made."""

    name: str = Field(min_length=1)
    id: str | None = None
    # Usually an object. Histories of other models and truncated calls may contain other types.
    args: Any = None


class FunctionResponsePart(GeminiSchema):
    """An image or a document in a function response."""

    inline_data: Blob | None = None


class FunctionResponse(GeminiSchema):
    """The result of a function call, which the client sends."""

    name: str | None = None
    id: str | None = None
    response: Any = None
    parts: OneOrMany[FunctionResponsePart] | None = None


class ExecutableCode(GeminiSchema):
    """Code that a Google model wrote for Google's code execution tool."""

    code: str = ""
    language: str | None = None


class CodeExecutionResult(GeminiSchema):
    """The output of Google's code execution tool."""

    output: str | None = None


class GeminiPart(GeminiSchema):
    """A part of a content, for example a text, an image or a call.

    The field `thought_signature` contains the signed thinking that comes before the part.
    """

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: GeminiFunctionCall | None = None
    function_response: FunctionResponse | None = None
    executable_code: ExecutableCode | None = None
    code_execution_result: CodeExecutionResult | None = None


class GeminiContent(GeminiSchema):
    """A message of a conversation, or one piece of a streamed message."""

    role: Annotated[Literal["user", "model", "function", "tool"], BeforeValidator(_lowercase)] | None = None
    parts: OneOrMany[GeminiPart] | None = None


AnyContent = Annotated[GeminiContent, BeforeValidator(_as_content)]
Contents = Annotated[list[AnyContent], Field(fail_fast=True, max_length=MAX_MESSAGES), BeforeValidator(_as_list)]


class ThinkingConfig(GeminiParametersSchema):
    """The object `generationConfig.thinkingConfig` of a Gemini request."""

    include_thoughts: bool | None = None
    # 0 switches thinking off. -1 means that the model decides.
    thinking_budget: Annotated[IntegerOrText, Range(-1, MAX_INTEGER)] | None = None
    thinking_level: (
        Annotated[
            Literal["thinking_level_unspecified", "minimal", "low", "medium", "high", "xhigh"],
            BeforeValidator(_lowercase),
        ]
        | None
    ) = None


class GenerationConfig(GeminiParametersSchema):
    """The object `generationConfig` of a Gemini request."""

    temperature: Annotated[Number, Range(0, 2)] | None = None
    top_p: Probability | None = None
    # Google also accepts fractions.
    top_k: Annotated[Number, Range(0, MAX_INTEGER)] | None = None
    max_output_tokens: CountOrText | None = None
    stop_sequences: OneOrMany[str] | None = None
    response_mime_type: str | None = None
    # Google's variant of OpenAPI, or JSON Schema.
    response_schema: dict[str, Any] | None = None
    response_json_schema: dict[str, Any] | None = None
    thinking_config: ThinkingConfig | None = None


class FunctionDeclaration(GeminiSchema):
    """The definition of a function that the model may call."""

    name: str = Field(min_length=1)
    description: str | None = None
    # Google's variant of OpenAPI, or JSON Schema.
    parameters: Any = None
    parameters_json_schema: Any = None


class GeminiTool(GeminiSchema):
    """An entry in `tools`, which declares functions of the client, or enables a tool that Google runs."""

    function_declarations: OneOrMany[FunctionDeclaration] | None = None
    google_search: Any = None
    google_search_retrieval: Any = None
    url_context: Any = None
    code_execution: Any = None


class FunctionCallingConfig(GeminiParametersSchema):
    """The object `toolConfig.functionCallingConfig` of a Gemini request."""

    mode: (
        Annotated[Literal["mode_unspecified", "auto", "any", "none", "validated"], BeforeValidator(_lowercase)] | None
    ) = None
    allowed_function_names: OneOrMany[str] | None = None


class ToolConfig(GeminiParametersSchema):
    """The object `toolConfig` of a Gemini request."""

    function_calling_config: FunctionCallingConfig | None = None


class GenerateContentRequest(GeminiParametersSchema):
    """The body of a `generateContent` or `streamGenerateContent` request."""

    contents: Contents
    system_instruction: AnyContent | None = None
    generation_config: GenerationConfig | None = None
    tools: OneOrMany[GeminiTool] | None = None
    tool_config: ToolConfig | None = None
    cached_content: str | None = None
    # Extension of this gateway: the id of the stored conversation that the request continues.
    session_id: str | None = None
    # Extensions of this gateway: whether the model may use built-in tools, and whether the thinking shows their calls.
    enable_tools: bool | None = None
    stream_tool_progress: bool | None = None


class CountTokensRequest(GeminiSchema):
    """The body of a `countTokens` request. It contains either contents or a whole `generateContent` request."""

    contents: Contents | None = None
    generate_content_request: GenerateContentRequest | None = None

    @property
    def request_to_count(self) -> GenerateContentRequest | None:
        """The request for which the gateway counts the tokens; None if the body has no contents and no request."""
        if self.generate_content_request is None and self.contents is not None:
            return GenerateContentRequest(contents=self.contents)
        return self.generate_content_request
