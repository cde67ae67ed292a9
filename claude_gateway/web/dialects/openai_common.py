"""JSON objects for errors and models in the format of OpenAI. The two OpenAI dialects share them."""

from collections.abc import Mapping, Sequence
from typing import Any

from claude_gateway.core.errors import ApiError
from claude_gateway.dialects.openai_chat import errors

# Value of the field `created`. The CLI does not report when models were released. OpenAI's clients require an integer
# in this field, but do not use it.
_CREATED_AT = 1_735_689_600


def openai_error_object(error: ApiError, _: str) -> dict[str, Any]:
    """Return the body of an error response in the format of OpenAI."""
    return errors.error_object(error)


def get_openai_status(error: ApiError) -> int:
    """Return the HTTP status for an error. The OpenAI dialects use the status of the `ApiError` without a change."""
    return error.status


def openai_model_object(name: str) -> dict[str, Any]:
    """Return the JSON description of a model in the format of OpenAI."""
    return {"id": name, "object": "model", "created": _CREATED_AT, "owned_by": "anthropic"}


def openai_model_list_object(names: Sequence[str], _: Mapping[str, str]) -> dict[str, Any]:
    """Return the JSON list of the models with the given names in the format of OpenAI."""
    return {"object": "list", "data": [openai_model_object(name) for name in names]}
