"""What `web/models.py` answers, in the shape of whoever asks."""

from typing import Literal

from claude_gateway.openapi.chat import ANSWERED
from claude_gateway.openapi.operation import Answer, Answered, Envelope, Group, Operation, Parameter


class OpenAIModel(Answered):
    id: str
    object: Literal["model"]
    created: int
    owned_by: Literal["anthropic"]


class OpenAIModels(Answered):
    object: Literal["list"]
    data: list[OpenAIModel]


class AnthropicModel(Answered):
    type: Literal["model"]
    id: str
    display_name: str
    created_at: str
    lifecycle: Literal["active"]


class AnthropicModels(Answered):
    data: list[AnthropicModel]
    has_more: bool
    first_id: str | None
    last_id: str | None


class GeminiModel(Answered):
    name: str
    baseModelId: str  # noqa: N815 - Google's own names, here and below
    version: str
    displayName: str  # noqa: N815
    description: str
    inputTokenLimit: int  # noqa: N815
    outputTokenLimit: int  # noqa: N815
    supportedGenerationMethods: list[str]  # noqa: N815
    thinking: bool


class GeminiModels(Answered):
    models: list[GeminiModel]


AnyModel = OpenAIModel | AnthropicModel | GeminiModel
AnyModels = OpenAIModels | AnthropicModels | GeminiModels

_ABOUT = (
    "Google's shape where `x-goog-api-key` or `x-goog-api-client` is sent, Anthropic's where `anthropic-version` is, "
    "else OpenAI's."
)
_MODEL = {"id": ANSWERED, "object": "model", "created": 1_735_689_600, "owned_by": "anthropic"}
_LIMIT = Parameter(
    "limit",
    "How many on a page; of Anthropic's shape alone.",
    "query",
    {"type": "integer", "minimum": 1, "maximum": 1000},
)
_AFTER = Parameter("after_id", "The page behind this model; of Anthropic's shape alone.", "query")
_BEFORE = Parameter("before_id", "The page before this model; of Anthropic's shape alone.", "query")
_INCLUDE = Parameter("include", "`aliases`: also other names that get an answer.", "query", {"type": "string"})
_VERSION = Parameter("anthropic-version", "Anthropic's shape is wanted.", "header")

OPERATIONS = (
    Operation(
        "get",
        "/v1/models",
        Group.MODELS,
        "The models",
        {200: Answer("The list.", AnyModels, {"object": "list", "data": [_MODEL]})},
        description=_ABOUT,
        parameters=(_INCLUDE, _LIMIT, _AFTER, _BEFORE, _VERSION),
        errors=(400,),
        envelope=Envelope.ANY,
    ),
    Operation(
        "get",
        "/v1/models/{id}",
        Group.MODELS,
        "One model",
        {200: Answer("The model.", AnyModel, _MODEL)},
        description=_ABOUT,
        parameters=(Parameter("id", "Its name.", example=ANSWERED), _VERSION),
        errors=(400, 404),
        envelope=Envelope.ANY,
    ),
)
