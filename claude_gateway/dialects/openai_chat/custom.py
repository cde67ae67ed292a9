"""Custom tools among the functions of a chat, and calls of them in its history. Pure.

OpenAI has their fields in a `custom` of their own, and so their calls. Editors send them as they are sent to
`/v1/responses`, and read the raw text of a call where a function's arguments would stand.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from claude_gateway.prompt.custom_tools import custom_function, is_custom

Form = Literal["own", "function"]
# Name: in which form its calls go out.
Custom = Mapping[str, Form]


def as_functions(definitions: Sequence[Any], notes: list[str]) -> tuple[list[Any], Custom]:
    """The definitions with functions in the place of custom tools, and which those are."""
    found: dict[str, Form] = {}
    functions = []
    for index, definition in enumerate(definitions):
        if not (isinstance(definition, Mapping) and is_custom(definition)):
            functions.append(definition)
            continue
        function = custom_function(definition, notes, f"tools.{index}")
        found[str(function["name"])] = "own" if isinstance(definition.get("custom"), Mapping) else "function"
        functions.append(function)
    return functions, found
