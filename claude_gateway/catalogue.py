"""The models: which exist, which a name means, whether a name is ours to pass on. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from claude_gateway.errors import ApiError

# It travels in a response header too, so nothing but printable ASCII of a bounded length.
# No slash and no percent sign: on Vertex the name becomes a part of a path.
_CLAUDE_NAME = re.compile(r"claude-[A-Za-z0-9._:@\[\]-]{1,128}")
_DATE = re.compile(r"-\d{8}$")
LISTED = (
    "claude-opus-4-5-20250929",
    "claude-sonnet-4-5-20250929",
    "claude-haiku-4-5-20251001",
    "claude-opus-4-1-20250805",
    "claude-opus-4-20250514",
    "claude-sonnet-4-20250514",
)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The listed models, then what the installed CLI reported at its start."""

    ids: tuple[str, ...]

    @classmethod
    def of(cls, reported: Iterable[Mapping[str, Any]]) -> "Catalogue":
        """`reported` is `models` of the CLI's answer to `initialize`."""
        found = [model["resolvedModel"] for model in reported if "resolvedModel" in model]
        return cls(tuple(dict.fromkeys([*LISTED, *found])))

    def resolve(self, name: str) -> str:
        """The model to use for a name. Any `claude-*` is passed on. Raises `ApiError` 404 otherwise."""
        if name in self.ids or _CLAUDE_NAME.fullmatch(name):
            return name
        raise unknown_model(name)

    def get(self, name: str) -> str:
        """The id of a model of the list, also by its name without the date. Raises `ApiError` 404."""
        if name in self.ids:
            return name
        for id_ in self.ids:
            if _DATE.sub("", id_) == name:
                return id_
        raise unknown_model(name)


def unknown_model(name: str) -> ApiError:
    shown = name[:100].encode("ascii", "backslashreplace").decode()
    return ApiError(
        404,
        "invalid_request_error",
        f"The model '{shown}' does not exist here. GET /v1/models lists those that do.",
        code="model_not_found",
        param="model",
    )
