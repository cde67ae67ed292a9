"""The events of an answer, in the words of the Messages API."""

from claude_gateway.demo.message import end, head, steps, whole_message
from claude_gateway.demo.script import Script

BODY = {"model": "claude-test", "messages": [{"role": "user", "content": "hi"}]}


def test_a_stream_begins_with_the_head_of_its_message_and_ends_with_its_end() -> None:
    script = Script(deltas=("one ", "two"))
    message = whole_message(BODY, script)
    stream = b"".join(step.data for step in steps(message, script))
    assert stream.startswith(head(message))
    assert stream.endswith(end(message))
