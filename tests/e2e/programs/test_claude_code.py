"""Claude Code itself as a client: the same binary, as a person runs it, with the gateway as its API."""

import asyncio
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from claude_gateway.claude_code.binary import find_bundled_binary
from claude_gateway.devtools.fake_anthropic.thinking_signature import compute_thinking_signature
from tests.e2e.helpers.gateway import API_KEY, MODEL, Gateway

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

# For this model Claude Code puts entries of role `system` among the messages.
NEWEST = "claude-opus-5-5"
UNKNOWN = "claude-of-tomorrow"
REQUEST = re.compile(r"POST /v1/messages(/count_tokens)? (\d+) ")


@dataclass(frozen=True)
class ClaudeCode:
    """Claude Code with an empty home directory and the gateway as its API."""

    gateway: Gateway
    home: Path

    async def __call__(
        self, *arguments: str, model: str = MODEL, key: str = API_KEY, retries: int = 0
    ) -> tuple[int, str]:
        """Run `claude -p …`, and return its status and output."""
        process = await asyncio.create_subprocess_exec(
            *(str(find_bundled_binary()), "-p", "--model", model, *arguments),
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.home),
                "ANTHROPIC_BASE_URL": self.gateway.url,
                "ANTHROPIC_API_KEY": key,
                "CLAUDE_CONFIG_DIR": str(self.home / "config"),
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "CLAUDE_CODE_MAX_RETRIES": str(retries),
                "DISABLE_AUTOUPDATER": "1",
                "IS_SANDBOX": "1",
            },
            cwd=self.home,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(60):
                output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return process.returncode, output.decode()

    def read_last_messages(self) -> list[dict[str, Any]]:
        """Return the messages of the newest upstream request."""
        messages: list[dict[str, Any]] = self.gateway.upstream.chat_requests[-1].body["messages"]
        return messages


@pytest.fixture
def claude(gateway: Gateway, tmp_path: Path) -> ClaudeCode:
    return ClaudeCode(gateway, tmp_path)


def read_logged_requests(caplog: pytest.LogCaptureFixture) -> list[tuple[bool, int]]:
    """Return for each request in the gateway's log whether it counted tokens, and its status."""
    matches = (REQUEST.match(line) for line in caplog.messages)
    return [(match[1] is not None, int(match[2])) for match in matches if match is not None]


@pytest.mark.promise("clients.claude-code")
@pytest.mark.parametrize("model", [MODEL, NEWEST, UNKNOWN])
async def test_claude_code_gets_its_reply(claude: ClaudeCode, model: str) -> None:
    status, output = await claude("Say {{say hello from the fake}}", model=model)
    assert (status, output.splitlines()[-1]) == (0, "hello from the fake")
    assert claude.gateway.upstream.chat_requests[-1].body["model"] == model


@pytest.mark.parametrize("model", [MODEL, NEWEST])
async def test_claude_code_runs_its_tool_and_returns_the_result(claude: ClaudeCode, model: str) -> None:
    note = claude.home / "note.txt"
    note.write_text("what the file says")
    prompt = f'Read it {{{{think hm}}}}{{{{tool Read {{"file_path":"{note}"}}}}}}'
    status, output = await claude(prompt, "--allowedTools", "Read", model=model)
    assert status == 0, output
    blocks = [
        block
        for message in claude.read_last_messages()
        if isinstance(message["content"], list)
        for block in message["content"]
    ]
    results = [block for block in blocks if block["type"] == "tool_result"]
    assert "what the file says" in str(results)
    assert [block["signature"] for block in blocks if block["type"] == "thinking"] == [compute_thinking_signature("hm")]


async def test_system_entries_of_claude_code_keep_their_position(claude: ClaudeCode) -> None:
    await claude("Say {{say hello}}", model=NEWEST)
    turn = next(message for message in claude.read_last_messages() if "{{say hello}}" in str(message))
    is_prompt_block = ["{{say" in str(block) for block in turn["content"]]
    assert any(is_prompt_block)
    assert "<system-reminder>" in str(turn["content"][is_prompt_block.index(True) + 1 :])


async def test_resumed_conversation_continues(claude: ClaudeCode) -> None:
    session = "11111111-1111-4111-8111-111111111111"
    await claude("first {{say one}}", "--session-id", session)
    status, output = await claude("second {{say two}}", "--resume", session)
    assert (status, output.splitlines()[-1]) == (0, "two")
    assert [message["role"] for message in claude.read_last_messages()] == ["user", "assistant", "user"]
    assert "one" in str(claude.read_last_messages()[1]["content"])


async def test_concurrent_token_counts_need_no_worker(claude: ClaudeCode, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "claude_gateway.web.middleware.errors")
    status, output = await claude("/context")
    assert (status, "Context Usage" in output) == (0, True), output
    counts = [status for is_count, status in read_logged_requests(caplog) if is_count]
    assert len(counts) >= 30
    assert set(counts) == {200}
    assert claude.gateway.upstream.requests == []


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("{{status 429 retry-after=7}}", "429"),
        ("{{status 529}}", "529 The upstream is overloaded"),
        ("{{status 500}}", "502 The upstream failed"),
        ("{{status 401}}", "The login of Claude Code failed"),
        ("{{status 400}}", "400 scripted 400"),
    ],
)
async def test_error_is_shown_as_an_error_and_never_as_a_reply(claude: ClaudeCode, prompt: str, expected: str) -> None:
    status, output = await claude(prompt)
    assert status == 1
    assert "API Error" in output
    assert expected in output


async def test_wrong_key_is_reported_as_a_401(claude: ClaudeCode) -> None:
    status, output = await claude("hi", key="another")
    assert (status, "401" in output) == (1, True), output
    assert claude.gateway.upstream.requests == []


@pytest.mark.promise("stream.interrupted")
async def test_claude_code_continues_after_an_interrupted_reply(claude: ClaudeCode) -> None:
    prompt = "Say {{think hm}}{{say one two three}}{{pace 0.02}}{{break 2}}{{times 1}}"
    status, output = await claude(prompt, retries=2)
    assert (status, output.splitlines()[-1]) == (0, "one two three")


async def test_claude_code_compacts_a_conversation_that_the_upstream_finds_too_long(claude: ClaudeCode) -> None:
    session = "22222222-2222-4222-8222-222222222222"
    await claude("first {{say one}}", "--session-id", session)
    rejection = "{{status 400}}{{message prompt is too long: 215000 tokens > 200000 maximum}}{{times 1}}"
    status, output = await claude(f"second {rejection}", "--resume", session)
    assert status == 0, output
    assert "too long" not in output
    conversations = [str(request.body["messages"]) for request in claude.gateway.upstream.chat_requests]
    assert any("detailed summary" in messages for messages in conversations)
