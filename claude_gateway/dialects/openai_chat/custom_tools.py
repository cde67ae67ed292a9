"""Convert the custom tools in a chat request to functions. No I/O.

The input of a custom tool is plain text. In OpenAI's chat format, an object `custom` contains the fields of a custom
tool, and another such object contains the fields of a call. Some editors send custom tools in the flat format of
`/v1/responses` instead. These editors expect a call of a custom tool in the form of a function call, and expect the
plain text in the field `arguments`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from claude_gateway.dialects.common.tools.custom_tools import custom_tool_to_function, is_custom_tool

CallFormat = Literal["custom", "function"]
# Maps the name of each custom tool to the format that its calls have in the response.
CustomTools = Mapping[str, CallFormat]


def convert_custom_tools(definitions: Sequence[Any], notes: list[str]) -> tuple[list[Any], CustomTools]:
    """Replace each custom tool with a function.

    Returns:
        All tool definitions, and the format that the calls of each custom tool must have in the response.
    """
    call_formats: dict[str, CallFormat] = {}
    functions = []
    for index, definition in enumerate(definitions):
        if not (isinstance(definition, Mapping) and is_custom_tool(definition)):
            functions.append(definition)
            continue
        function = custom_tool_to_function(definition, notes, f"tools.{index}")
        call_formats[str(function["name"])] = "custom" if isinstance(definition.get("custom"), Mapping) else "function"
        functions.append(function)
    return functions, call_formats
