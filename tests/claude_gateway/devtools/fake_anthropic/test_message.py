"""Events of a reply in the format of the Messages API."""

from claude_gateway.devtools.fake_anthropic.message import (
    build_message,
    encode_message_end,
    encode_message_start,
    stream_steps,
)
from claude_gateway.devtools.fake_anthropic.script import Script

BODY = {"model": "claude-test", "messages": [{"role": "user", "content": "hi"}]}


def test_stream_begins_with_message_start_and_ends_with_message_stop() -> None:
    script = Script(deltas=("one ", "two"))
    message = build_message(BODY, script)
    stream = b"".join(step.data for step in stream_steps(message, script))
    assert stream.startswith(encode_message_start(message))
    assert stream.endswith(encode_message_end(message))
