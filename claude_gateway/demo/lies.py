"""What an upstream says that is not what it claims to be: all with status 200. Pure."""

from claude_gateway.demo.message import Message, steps
from claude_gateway.demo.script import Script

LIES = ("html", "type", "events", "empty", "object", "half")


def lie(kind: str, message: Message, script: Script) -> tuple[str, bytes]:
    """A content type and a body. Raises `ValueError` on one that nobody tells."""
    begun = b""
    for step in steps(message, script):
        begun += step.data
        if step.stage == "text":
            break
    match kind:
        case "html":
            return "text/html", b"<!doctype html><title>Sign in</title><h1>Sign in to the network</h1>"
        case "type":
            return "application/octet-stream", begun
        case "events":
            return "text/event-stream", begun + b"event: content_block_delta\ndata: {no JSON at all\n\n"
        case "empty":
            return "text/event-stream", b""
        case "object":
            return "application/json", b'{"type":"list","data":[]}'
        case "half":
            return "text/event-stream", begun + b'event: content_block_delta\ndata: {"type":"content_bl'
    raise ValueError(f"the stand-in tells no lie {kind!r}")
