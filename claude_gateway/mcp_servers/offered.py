"""What MCP servers say of their tools and answer to calls, as Claude may see it. Pure.

Whatever a server says is a stranger's: names become names that the API takes, what is no schema is left out, and
everything has its bounds.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from claude_gateway.errors import ApiError
from claude_gateway.mcp_servers.bounds import Bounds
from claude_gateway.prompt import media
from claude_gateway.prompt.schema_shape import complaint
from claude_gateway.prompt.tools import is_writable
from workers.job import Image, RemoteResult, Text, Tool
from workers.unicode_repair import without_halves

PREFIX = "mcp__"
_LONGEST_NAME = 128  # the API's
_MAX_DESCRIPTION_CHARS = 64 * 1024
_LONGEST_OWN_NAME = 128
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_NOTHING = Text("(The tool answered nothing.)")


@dataclass(frozen=True, slots=True)
class Offered:
    """A server's tool: `own_name` is what the server calls it, `tool.name` what Claude does."""

    own_name: str
    tool: Tool


@dataclass(frozen=True, slots=True)
class Listing:
    """What a server has. `left_out` counts the tools that could not be taken."""

    tools: tuple[Offered, ...] = ()
    resources: int = 0
    prompts: int = 0
    left_out: int = 0


def read_tools(server: str, listed: Iterable[Mapping[str, Any]], bounds: Bounds) -> tuple[tuple[Offered, ...], int]:
    """The tools, in the server's order, and how many were left out: a second one of a name, a name or a schema that is
    none, what goes beyond the bounds. `listed` are objects of a `tools/list`."""
    taken: dict[str, Offered] = {}
    left_out, room = 0, bounds.listing_bytes
    for one in listed:
        offered = _read_tool(server, one)
        size = len(orjson.dumps(offered.tool.schema)) + len(offered.tool.description) if offered else 0
        if offered is None or offered.tool.name in taken or len(taken) == bounds.tools or size > room:
            left_out += 1
            continue
        room -= size
        taken[offered.tool.name] = offered
    return tuple(taken.values()), left_out


def _read_tool(server: str, listed: Mapping[str, Any]) -> Offered | None:
    own, schema = listed.get("name"), listed.get("inputSchema")
    if not isinstance(own, str) or not own.strip() or not own.isprintable() or len(own) > _LONGEST_OWN_NAME:
        return None
    if not isinstance(schema, dict) or schema.get("type", "object") != "object":
        return None
    if not is_writable(schema) or complaint(schema) is not None:
        return None
    description = listed.get("description")
    text = description[:_MAX_DESCRIPTION_CHARS] if isinstance(description, str) else ""
    return Offered(own, Tool(model_name(server, own), without_halves(text), schema))


def model_name(server: str, own: str) -> str:
    """The name that Claude sees, the same each time; another one for each other tool."""
    plain = f"{PREFIX}{server}__{_NOT_IN_A_NAME.sub('_', own)}"
    if plain == f"{PREFIX}{server}__{own}" and len(plain) <= _LONGEST_NAME:
        return plain
    mark = hashlib.sha256(own.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain[: _LONGEST_NAME - len(mark) - 1]}_{mark}"


def chosen(tools: Sequence[Tool], names: Sequence[str]) -> tuple[Tool, ...]:
    """Those that the names mean: a tool's, a server's (`mcp__server`) or all of it (`mcp__server__*`)."""
    servers = tuple(f"{name.removesuffix('__*')}__" for name in names)
    return tuple(tool for tool in tools if tool.name in names or tool.name.startswith(servers))


def read_result(answer: Mapping[str, Any], bounds: Bounds) -> RemoteResult:
    """The answer to a call, as blocks for the model; one that is too large is an error that says so."""
    content = answer.get("content") or []
    blocks = [block for part in content if (block := _block(part)) is not None]
    if not blocks and answer.get("structuredContent") is not None:
        blocks = [Text(orjson.dumps(answer["structuredContent"]).decode())]
    size = sum(len(one.text) if isinstance(one, Text) else len(one.source["data"]) for one in blocks)
    if size > bounds.result_bytes:
        return failed(f"The tool answered {size} bytes; at most {bounds.result_bytes} are passed on. Ask it for less.")
    return RemoteResult(tuple(blocks) or (_NOTHING,), is_error=bool(answer.get("isError")))


def failed(why: str) -> RemoteResult:
    return RemoteResult((Text(why),), is_error=True)


def _block(part: Mapping[str, Any]) -> Text | Image | None:
    match part:
        case {"type": "text", "text": str(text)} | {"type": "resource", "resource": {"text": str(text)}}:
            return Text(without_halves(text)) if text.strip() else None
        case {"type": "image", "data": str(data), "mimeType": str(kind)}:
            try:
                image = media.read(data, kind, "")
            except ApiError:
                return Text("(An image that is none, or of a kind that is not shown.)")
            return image if isinstance(image, Image) else Text("(A file that is not shown.)")
        case {"type": "resource_link", "uri": str(uri)}:
            return Text(without_halves(f"(A link to the resource {uri[:2_000]})"))
    return Text(f"({str(part.get('type'))[:40]}: not shown)")
