"""Input items as they are kept and listed: each with a type, an id and its content in parts. Pure.

Ids that are made here, of input as of output items, name the response that the item is kept with.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from claude_gateway.dialects.openai_responses.items import Item, kind_of

_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "tool_search_call": "tsc",
    "tool_search_output": "tso",
    "additional_tools": "at",
}


def kept_items(items: Sequence[Item], response_id: str) -> list[dict[str, Any]]:
    stem = response_id.removeprefix("resp_")
    return [_kept(item, f"{_PREFIXES.get(kind_of(item) or '', 'item')}_{stem}_i{n}") for n, item in enumerate(items)]


def kept_in(item_id: str) -> tuple[str, Literal["object", "items"]]:
    """The response that an item is kept with, if its id was made here; among its output or its input."""
    _, stem, place, *_ = *item_id.split("_"), "", ""
    return f"resp_{stem}", "items" if place.startswith("i") else "object"


def _kept(item: Item, id_: str) -> dict[str, Any]:
    kind = kind_of(item)
    sent = item.get("id")
    kept = {"type": kind, **item, "id": sent if isinstance(sent, str) and sent else id_}
    if kind == "message":
        kept["content"] = _parts(item)
    if kind != "additional_tools":
        kept["status"] = item.get("status") or "completed"
    return kept


def _parts(message: Mapping[str, Any]) -> Any:
    content = message.get("content")
    if not isinstance(content, str):
        return content or []
    if message.get("role") == "assistant":
        return [{"type": "output_text", "text": content, "annotations": []}]
    return [{"type": "input_text", "text": content}]
