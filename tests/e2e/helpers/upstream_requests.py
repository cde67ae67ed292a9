"""Read the requests that the fake Anthropic API received."""

from typing import Any

from tests.e2e.helpers.gateway import Gateway


def read_turns(body: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Return the conversation of an upstream request as roles and texts."""
    turns = []
    for message in body["messages"]:
        content = message["content"]
        texts = [content] if isinstance(content, str) else [block.get("text", block["type"]) for block in content]
        turns.append((message["role"], texts))
    return turns


def read_system_texts(body: dict[str, Any]) -> list[str]:
    """Return the client's part of the system prompt, without the two blocks that the CLI puts in front."""
    return [block["text"] for block in body["system"]]


async def check_next_request_works(gateway: Gateway) -> None:
    assert await gateway.stream_text("still there") == "still there"


CLI_BLOCK_PREFIXES = ("<local-command-caveat>", "<command-name>/clear", "<local-command-stdout>")


def read_last_messages(gateway: Gateway) -> list[dict[str, Any]]:
    """Return the messages of the newest upstream request, without cache marks and the blocks of `/clear`."""
    turns = []
    for message in gateway.upstream.chat_requests[-1].body["messages"]:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        stripped = [
            {name: value for name, value in block.items() if name != "cache_control"}
            for block in blocks
            if not str(block.get("text", "")).startswith(CLI_BLOCK_PREFIXES)
        ]
        turns.append({"role": message["role"], "content": stripped})
    return turns


def text_block(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}
