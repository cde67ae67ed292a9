"""A Gemini request as it is sent. Each key may be in camelCase or snake_case, an enum's word in any case, and a single
object may stand where a list is meant: Google's own programs and examples do all three.

What is the caller's own data (schemas, arguments, responses) is `Any` and stays as it is.
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from claude_gateway.dialects.gemini.parameters import drop_unset_fields
from claude_gateway.prompt.numbers import MAX_INTEGER, CountOrText, IntegerOrText, Number, Probability, Range

_MOST_CONTENTS = 10_000
_MOST_PARTS = 10_000

One = TypeVar("One")


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _listed(value: Any) -> Any:
    return value if value is None or isinstance(value, list) else [value]


def _as_content(value: Any) -> Any:
    """A bare text, or a part without the content around it."""
    if isinstance(value, str):
        return {"parts": [{"text": value}]}
    if isinstance(value, dict) and "text" in value and "parts" not in value:
        return {"parts": [value]}
    return value


Several = Annotated[list[One], Field(fail_fast=True, max_length=_MOST_PARTS), BeforeValidator(_listed)]


class Wire(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, alias_generator=to_camel, validate_by_name=True)

    @property
    def unknown(self) -> dict[str, Any]:
        """Fields that this model does not name."""
        return self.model_extra or {}


class Settings(Wire):
    """An object of parameters."""

    @model_validator(mode="before")
    @classmethod
    def _drop_unset_fields(cls, value: Any) -> Any:
        return drop_unset_fields(value) if isinstance(value, dict) else value


class Blob(Wire):
    mime_type: str
    data: str


class FileData(Wire):
    file_uri: str | None = None


class FunctionCall(Wire):
    name: str = Field(min_length=1)
    id: str | None = None
    # An object; in the histories of other models, and of calls that were cut off, anything else.
    args: Any = None


class ResponsePart(Wire):
    inline_data: Blob | None = None


class FunctionResponse(Wire):
    name: str | None = None
    id: str | None = None
    response: Any = None
    parts: Several[ResponsePart] | None = None


class ExecutableCode(Wire):
    code: str = ""
    language: str | None = None


class CodeExecutionResult(Wire):
    output: str | None = None


class Part(Wire):
    """One of its kinds; beside it perhaps what the model thought before it."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    executable_code: ExecutableCode | None = None
    code_execution_result: CodeExecutionResult | None = None


class Content(Wire):
    role: Annotated[Literal["user", "model", "function", "tool"], BeforeValidator(_lower)] | None = None
    parts: Several[Part] | None = None


AnyContent = Annotated[Content, BeforeValidator(_as_content)]
Contents = Annotated[list[AnyContent], Field(fail_fast=True, max_length=_MOST_CONTENTS), BeforeValidator(_listed)]


class ThinkingConfig(Settings):
    include_thoughts: bool | None = None
    # 0 switches thinking off, -1 leaves it to the model.
    thinking_budget: Annotated[IntegerOrText, Range(-1, MAX_INTEGER)] | None = None
    thinking_level: (
        Annotated[
            Literal["thinking_level_unspecified", "minimal", "low", "medium", "high", "xhigh"], BeforeValidator(_lower)
        ]
        | None
    ) = None


class GenerationConfig(Settings):
    temperature: Annotated[Number, Range(0, 2)] | None = None
    top_p: Probability | None = None
    # Google takes fractions too.
    top_k: Annotated[Number, Range(0, MAX_INTEGER)] | None = None
    max_output_tokens: CountOrText | None = None
    stop_sequences: Several[str] | None = None
    response_mime_type: str | None = None
    # Google's own dialect of OpenAPI, or JSON Schema.
    response_schema: dict[str, Any] | None = None
    response_json_schema: dict[str, Any] | None = None
    thinking_config: ThinkingConfig | None = None


class FunctionDeclaration(Wire):
    name: str = Field(min_length=1)
    description: str | None = None
    # Google's own dialect of OpenAPI, or JSON Schema.
    parameters: Any = None
    parameters_json_schema: Any = None


class Tool(Wire):
    function_declarations: Several[FunctionDeclaration] | None = None
    google_search: Any = None
    google_search_retrieval: Any = None
    url_context: Any = None
    code_execution: Any = None


class FunctionCallingConfig(Settings):
    mode: Annotated[Literal["mode_unspecified", "auto", "any", "none", "validated"], BeforeValidator(_lower)] | None = (
        None
    )
    allowed_function_names: Several[str] | None = None


class ToolConfig(Settings):
    function_calling_config: FunctionCallingConfig | None = None


class GenerateContentRequest(Settings):
    contents: Contents
    system_instruction: AnyContent | None = None
    generation_config: GenerationConfig | None = None
    tools: Several[Tool] | None = None
    tool_config: ToolConfig | None = None
    cached_content: str | None = None
    # Not the provider's: which conversation Claude is to remember.
    session_id: str | None = None
    # Nor these: whether Claude is to use its own tools, and tell of it among its thoughts.
    enable_tools: bool | None = None
    stream_tool_progress: bool | None = None


class CountTokensRequest(Wire):
    """The contents alone, or the whole request that they would be sent with."""

    contents: Contents | None = None
    generate_content_request: GenerateContentRequest | None = None

    @property
    def counted(self) -> GenerateContentRequest | None:
        """What is to be counted; None for nothing."""
        if self.generate_content_request is None and self.contents is not None:
            return GenerateContentRequest(contents=self.contents)
        return self.generate_content_request
