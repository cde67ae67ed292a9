"""Claude Code itself as a caller: the same binary, run as a person runs it, pointed at the gateway."""

import asyncio
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from claude_gateway.claude_code.bundled_cli import bundled_cli
from claude_gateway.demo.thoughts import sign
from tests.e2e.conftest import API_KEY, MODEL, Gateway

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

# A model for which Claude Code puts entries of role `system` among the messages.
NEWEST = "claude-opus-5-5"
UNKNOWN = "claude-of-tomorrow"
REQUEST = re.compile(r"POST /v1/messages(/count_tokens)? (\d+) ")


@dataclass(frozen=True)
class ClaudeCode:
    """Claude Code in an empty home, with the gateway as its API."""

    gateway: Gateway
    home: Path

    async def __call__(
        self, *arguments: str, model: str = MODEL, key: str = API_KEY, retries: int = 0
    ) -> tuple[int, str]:
        """Run `claude -p …`; returns its status and output."""
        process = await asyncio.create_subprocess_exec(
            *(str(bundled_cli()), "-p", "--model", model, *arguments),
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

    def asked(self) -> list[dict[str, Any]]:
        """The messages that the model was asked last."""
        messages: list[dict[str, Any]] = self.gateway.upstream.chats[-1].body["messages"]
        return messages


@pytest.fixture
def claude(gateway: Gateway, tmp_path: Path) -> ClaudeCode:
    return ClaudeCode(gateway, tmp_path)


def answered(caplog: pytest.LogCaptureFixture) -> list[tuple[bool, int]]:
    """Of each request that the gateway logged: whether it was for a count, and its status."""
    found = (REQUEST.match(line) for line in caplog.messages)
    return [(match[1] is not None, int(match[2])) for match in found if match is not None]


@pytest.mark.promise("clients.claude-code")
@pytest.mark.parametrize("model", [MODEL, NEWEST, UNKNOWN])
async def test_claude_code_gets_its_answer(claude: ClaudeCode, model: str) -> None:
    status, output = await claude("Say {{say hello from the stand-in}}", model=model)
    assert (status, output.splitlines()[-1]) == (0, "hello from the stand-in")
    assert claude.gateway.upstream.chats[-1].body["model"] == model


@pytest.mark.parametrize("model", [MODEL, NEWEST])
async def test_claude_code_runs_its_own_tool_and_gives_the_result_back(claude: ClaudeCode, model: str) -> None:
    note = claude.home / "note.txt"
    note.write_text("what the file says")
    prompt = f'Read it {{{{think hm}}}}{{{{tool Read {{"file_path":"{note}"}}}}}}'
    status, output = await claude(prompt, "--allowedTools", "Read", model=model)
    assert status == 0, output
    blocks = [
        block for message in claude.asked() if isinstance(message["content"], list) for block in message["content"]
    ]
    results = [block for block in blocks if block["type"] == "tool_result"]
    assert "what the file says" in str(results)
    assert [block["signature"] for block in blocks if block["type"] == "thinking"] == [sign("hm")]


async def test_what_claude_code_tells_the_model_between_the_messages_stays_where_it_stands(claude: ClaudeCode) -> None:
    await claude("Say {{say hello}}", model=NEWEST)
    turn = next(message for message in claude.asked() if "{{say hello}}" in str(message))
    places = ["{{say" in str(block) for block in turn["content"]]
    assert any(places)
    assert "<system-reminder>" in str(turn["content"][places.index(True) + 1 :])


async def test_a_resumed_conversation_goes_on(claude: ClaudeCode) -> None:
    session = "11111111-1111-4111-8111-111111111111"
    await claude("first {{say one}}", "--session-id", session)
    status, output = await claude("second {{say two}}", "--resume", session)
    assert (status, output.splitlines()[-1]) == (0, "two")
    assert [message["role"] for message in claude.asked()] == ["user", "assistant", "user"]
    assert "one" in str(claude.asked()[1]["content"])


async def test_its_many_counts_at_once_are_answered_without_a_worker(
    claude: ClaudeCode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "claude_gateway.web.middlewares")
    status, output = await claude("/context")
    assert (status, "Context Usage" in output) == (0, True), output
    counts = [status for is_count, status in answered(caplog) if is_count]
    assert len(counts) >= 30
    assert set(counts) == {200}
    assert claude.gateway.upstream.received == []


@pytest.mark.parametrize(
    ("prompt", "shown"),
    [
        ("{{status 429 retry-after=7}}", "429"),
        ("{{status 529}}", "529 The upstream is overloaded"),
        ("{{status 500}}", "502 The upstream broke"),
        ("{{status 401}}", "login failed"),
        ("{{status 400}}", "400 scripted 400"),
    ],
)
async def test_an_error_is_shown_as_an_error_and_never_as_an_answer(
    claude: ClaudeCode, prompt: str, shown: str
) -> None:
    status, output = await claude(prompt)
    assert status == 1
    assert "API Error" in output
    assert shown in output


async def test_a_wrong_key_is_told_to_be_one(claude: ClaudeCode) -> None:
    status, output = await claude("hi", key="another")
    assert (status, "401" in output) == (1, True), output
    assert claude.gateway.upstream.received == []


@pytest.mark.promise("stream.broken-off")
async def test_claude_code_goes_on_after_an_answer_that_broke_off(claude: ClaudeCode) -> None:
    prompt = "Say {{think hm}}{{say one two three}}{{pace 0.02}}{{break 2}}{{times 1}}"
    status, output = await claude(prompt, retries=2)
    assert (status, output.splitlines()[-1]) == (0, "one two three")


async def test_claude_code_compacts_a_conversation_that_the_upstream_finds_too_long(claude: ClaudeCode) -> None:
    session = "22222222-2222-4222-8222-222222222222"
    await claude("first {{say one}}", "--session-id", session)
    refused = "{{status 400}}{{message prompt is too long: 215000 tokens > 200000 maximum}}{{times 1}}"
    status, output = await claude(f"second {refused}", "--resume", session)
    assert status == 0, output
    assert "too long" not in output
    asked = [str(request.body["messages"]) for request in claude.gateway.upstream.chats]
    assert any("detailed summary" in messages for messages in asked)
