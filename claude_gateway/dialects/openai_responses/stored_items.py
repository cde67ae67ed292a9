"""Convert input items to the form in which the gateway stores and lists them. No I/O.

A stored item has a type and an id. The content of a stored message is a list of parts. The gateway stores each item
with one response. If the gateway generates the id of an item, the item id contains the id of this response.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from claude_gateway.dialects.openai_responses.input_items import InputItem, get_item_type

_ID_PREFIXES = {
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


def to_stored_items(items: Sequence[InputItem], response_id: str) -> list[dict[str, Any]]:
    """Convert the input items of a response to the form in which the gateway stores them."""
    stem = response_id.removeprefix("resp_")
    return [
        _to_stored_item(item, f"{_ID_PREFIXES.get(get_item_type(item) or '', 'item')}_{stem}_i{number}")
        for number, item in enumerate(items)
    ]


def locate_item(item_id: str) -> tuple[str, Literal["object", "items"]]:
    """Derive from an item id the response and the field in which the gateway has stored the item.

    If the client chose the item id, the result has no meaning.

    Returns:
        The id of the response with which the gateway stored the item, and the name of the stored field that contains
        the item. The field is `items` for an input item and `object` for an output item.
    """
    _, stem, position, *_ = *item_id.split("_"), "", ""
    return f"resp_{stem}", "items" if position.startswith("i") else "object"


def _to_stored_item(item: InputItem, id_: str) -> dict[str, Any]:
    kind = get_item_type(item)
    client_id = item.get("id")
    stored_item = {"type": kind, **item, "id": client_id if isinstance(client_id, str) and client_id else id_}
    if kind == "message":
        stored_item["content"] = _normalize_content(item)
    if kind != "additional_tools":
        stored_item["status"] = item.get("status") or "completed"
    return stored_item


def _normalize_content(message: Mapping[str, Any]) -> Any:
    content = message.get("content")
    if not isinstance(content, str):
        return content or []
    if message.get("role") == "assistant":
        return [{"type": "output_text", "text": content, "annotations": []}]
    return [{"type": "input_text", "text": content}]
