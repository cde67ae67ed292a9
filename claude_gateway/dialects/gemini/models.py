"""The models in Google's shape. Pure."""

from collections.abc import Iterable
from typing import Any

# What every listed model takes at least; some take more.
_INPUT_TOKENS = 200_000
_OUTPUT_TOKENS = 32_000


def model(name: str) -> dict[str, Any]:
    return {
        "name": f"models/{name}",
        "baseModelId": name,
        "version": name,
        "displayName": name,
        "description": "",
        "inputTokenLimit": _INPUT_TOKENS,
        "outputTokenLimit": _OUTPUT_TOKENS,
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"],
        "thinking": True,
    }


def page(names: Iterable[str]) -> dict[str, Any]:
    """All of them on one page, whatever `pageSize` asks for: it names a most, and there are few."""
    return {"models": [model(name) for name in names]}
