"""Function that makes malformed responses. They have the status 200, but their body is not a valid reply. No I/O."""

from claude_gateway.devtools.fake_anthropic.message import MessageObject, stream_steps
from claude_gateway.devtools.fake_anthropic.script import Script

MALFORMED_KINDS = ("html", "type", "events", "empty", "object", "half")


def malformed_response(kind: str, message: MessageObject, script: Script) -> tuple[str, bytes]:
    """Return the content type and the body of a malformed response.

    Args:
        kind: The kind of the malformed response, one of `MALFORMED_KINDS`.
        message: The message object of a valid reply. In some kinds, the body contains the beginning of this reply.
        script: The script of the valid reply.

    Raises:
        ValueError: The kind is unknown.
    """
    beginning = b""
    for step in stream_steps(message, script):
        beginning += step.data
        if step.stage == "text":
            break
    match kind:
        case "html":
            return "text/html", b"<!doctype html><title>Sign in</title><h1>Sign in to the network</h1>"
        case "type":
            return "application/octet-stream", beginning
        case "events":
            return "text/event-stream", beginning + b"event: content_block_delta\ndata: {not JSON\n\n"
        case "empty":
            return "text/event-stream", b""
        case "object":
            return "application/json", b'{"type":"list","data":[]}'
        case "half":
            return "text/event-stream", beginning + b'event: content_block_delta\ndata: {"type":"content_bl'
    raise ValueError(f"unknown malformed response {kind!r}; use one of {', '.join(MALFORMED_KINDS)}")
