"""Descriptions of the operations that return the models in the dialect of the client (`web/endpoints/models.py`)."""

from typing import Literal

from claude_gateway.openapi.resources.chat import EXAMPLE_RESPONSE_MODEL
from claude_gateway.openapi.spec import OperationSpec, Parameter, ResponseModel, ResponseSpec, Tag


class OpenAIModel(ResponseModel):
    """A model in OpenAI's format."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: Literal["anthropic"]


class OpenAIModelList(ResponseModel):
    """A list of the available models in OpenAI's format."""

    object: Literal["list"]
    data: list[OpenAIModel]


class AnthropicModel(ResponseModel):
    """A model in Anthropic's format."""

    type: Literal["model"]
    id: str
    display_name: str
    created_at: str
    lifecycle: Literal["active"]


class AnthropicModelList(ResponseModel):
    """A page of the list of available models in Anthropic's format."""

    data: list[AnthropicModel]
    has_more: bool
    first_id: str | None
    last_id: str | None


class GeminiModel(ResponseModel):
    """A model in Google's format."""

    name: str
    baseModelId: str  # noqa: N815 - the names of Google's API, here and below
    version: str
    displayName: str  # noqa: N815
    description: str
    inputTokenLimit: int  # noqa: N815
    outputTokenLimit: int  # noqa: N815
    supportedGenerationMethods: list[str]  # noqa: N815
    thinking: bool


class GeminiModelList(ResponseModel):
    """A list of the available models in Google's format."""

    models: list[GeminiModel]


AnyModel = OpenAIModel | AnthropicModel | GeminiModel
AnyModelList = OpenAIModelList | AnthropicModelList | GeminiModelList

_DESCRIPTION = (
    "The response has Google's format if the request has the header `x-goog-api-key` or `x-goog-api-client`, "
    "Anthropic's format if it has the header `anthropic-version`, and OpenAI's format otherwise."
)
_MODEL = {"id": EXAMPLE_RESPONSE_MODEL, "object": "model", "created": 1_735_689_600, "owned_by": "anthropic"}
_LIMIT = Parameter(
    "limit",
    "The count of models on a page; only in Anthropic's format.",
    "query",
    {"type": "integer", "minimum": 1, "maximum": 1000},
)
_AFTER = Parameter("after_id", "The page starts after this model; only in Anthropic's format.", "query")
_BEFORE = Parameter("before_id", "The page ends before this model; only in Anthropic's format.", "query")
_INCLUDE = Parameter("include", "`aliases`: also list other names that requests can use.", "query", {"type": "string"})
_VERSION = Parameter("anthropic-version", "Any date; selects Anthropic's format.", "header")

LIST_MODELS = OperationSpec(
    Tag.MODELS,
    "List the models",
    {200: ResponseSpec("The models.", AnyModelList, {"object": "list", "data": [_MODEL]})},
    description=_DESCRIPTION,
    parameters=(_INCLUDE, _LIMIT, _AFTER, _BEFORE, _VERSION),
    error_statuses=(400,),
)
GET_MODEL = OperationSpec(
    Tag.MODELS,
    "Get a model",
    {200: ResponseSpec("The model.", AnyModel, _MODEL)},
    description=_DESCRIPTION,
    parameters=(Parameter("id", "The name of the model.", example=EXAMPLE_RESPONSE_MODEL), _VERSION),
    error_statuses=(400, 404),
)
