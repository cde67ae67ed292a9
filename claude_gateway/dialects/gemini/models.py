"""Model objects and the model list in Gemini's format. No I/O."""

from collections.abc import Iterable
from typing import Any

# The smallest limits among all listed models. Some models accept more tokens.
_INPUT_TOKEN_LIMIT = 200_000
_OUTPUT_TOKEN_LIMIT = 32_000


def model_object(name: str) -> dict[str, Any]:
    """Return the JSON object that describes a model."""
    return {
        "name": f"models/{name}",
        "baseModelId": name,
        "version": name,
        "displayName": name,
        "description": "",
        "inputTokenLimit": _INPUT_TOKEN_LIMIT,
        "outputTokenLimit": _OUTPUT_TOKEN_LIMIT,
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"],
        "thinking": True,
    }


def model_list_object(names: Iterable[str]) -> dict[str, Any]:
    """Return all models on one page of the model list. The gateway ignores `pageSize`, because there are few models."""
    return {"models": [model_object(name) for name in names]}
