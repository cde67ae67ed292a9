"""Real coding agents work for dozens of turns through the gateway: nothing is lost, changed, added or sent twice.

The locks in `tests/clients` pin the agents. If they cannot be installed because the package registries are out of
reach, the tests are skipped with that reason; with `CI` set they fail.
"""

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from pydantic import SecretStr

from claude_gateway.devtools.fake_anthropic.coding_agent import step_file_content, step_file_name
from claude_gateway.devtools.fake_anthropic.server import FakeAnthropic, RecordedRequest, run_fake_anthropic
from tests.clients.client import API_KEY, Client, ClientRun
from tests.clients.client_list import CLIENTS
from tests.clients.installs import GATEWAY_ENVIRONMENT, NODE, Installs, prepare_installs
from tests.clients.scenario import run_program
from tests.clients.traffic_recorder import Exchange, TrafficRecorder, run_traffic_recorder
from tests.e2e.helpers.gateway import run_gateway_on

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

TURNS = 30
TURNS_WITH_FAULTS = 12
# The faults after which each agent continues its work.
FAULTS: Mapping[str, tuple[str, ...]] = {
    "Claude Code messages": ("529", "429", "cut", "too_long", "max_tokens"),
    "Codex CLI responses": ("529", "429"),
    "Gemini CLI gemini": ("529", "429"),
    "OpenCode chat": ("529", "429"),
}
AGENTS = [client for client in CLIENTS if client.id in FAULTS]
# Claude Code sends each edit back with `replace_all: false`, which the model did not send: the turn differs.
REPLAYED_TURNS = {"Claude Code messages": len(range(2, TURNS, 6))}
# In between, Gemini CLI asks in another conversation whether its work is stuck in a loop.
OTHER_REQUESTS = {"Gemini CLI gemini": 1}
# Blocks that the CLI puts in front of the system prompt.
CLI_BLOCKS = ("x-anthropic-billing-header:", "You are a Claude agent, built on Anthropic's Claude Agent SDK.")

Json = dict[str, Any]


@dataclass(frozen=True)
class AgentTestbed:
    """The gateway between the fake Anthropic API and a traffic recorder.

    It has one worker, so that no turn finds the process of its conversation busy and moves to another.
    """

    upstream: FakeAnthropic
    recorder: TrafficRecorder
    gateway_url: str

    async def count_conversation_loads(self) -> dict[str, int]:
        """Return how often a conversation was found in its process, replayed, and so on."""
        key = {"authorization": f"Bearer {API_KEY}"}
        async with (
            aiohttp.ClientSession(headers=key) as session,
            session.get(f"{self.gateway_url}/metrics") as response,
        ):
            lines = (await response.text()).splitlines()
        counts: dict[str, int] = {}
        for line in lines:
            if line.startswith("gateway_conversation_loads_total{"):
                source = line.partition('source="')[2].partition('"')[0]
                counts[source] = int(float(line.rpartition(" ")[2]))
        return counts


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def testbed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AgentTestbed]:
    state = tmp_path_factory.mktemp("state")
    async with (
        run_fake_anthropic() as upstream,
        run_gateway_on(upstream, state, api_key=SecretStr(API_KEY), chat_workers=1) as gateway,
        run_traffic_recorder(gateway.url) as recorder,
    ):
        yield AgentTestbed(upstream, recorder, gateway.url)


@pytest.fixture(scope="session")
def installs() -> Installs:
    return prepare_installs({GATEWAY_ENVIRONMENT, NODE})


async def run_agent(
    testbed: AgentTestbed, client: Client, folder: Path, installs: Installs, turns: int, options: str = ""
) -> None:
    """Run the agent to its end; recorder and upstream then hold its requests."""
    if failure := installs.failures.get(client.install_name):
        reason = f"{client.name} is not installed, which needs the package registries: {failure}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    testbed.recorder.clear()
    testbed.upstream.clear()
    client_run = ClientRun(
        "agent", testbed.recorder.url, folder, installs, f"turns={turns} dir={folder} {options}".strip()
    )
    program = client.build_program(client_run)
    result = await run_program(program, client_run, testbed.recorder)
    assert result.exit_status == 0, (result.stdout[-2_000:], result.stderr[-2_000:])
    assert "".join(program.parse_output(result.stdout)).strip().endswith(f"All {turns} steps are done."), result.stdout[
        -2_000:
    ]


def is_agent_request(body: Any) -> bool:
    """Return whether a request of any dialect belongs to the work itself; agents also ask for titles and the like."""
    return isinstance(body, dict) and bool(body.get("tools")) and "{{agent " in str(body)


def join_texts(content: Any) -> str:
    """Return the text of a string, or of blocks or parts with texts."""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def read_sent_results(body: Json) -> list[str]:
    """Return the tool results in the request that the agent sent."""
    if "input" in body:
        return [join_texts(item["output"]) for item in body["input"] if item.get("type") == "function_call_output"]
    if "contents" in body:
        parts = [part for content in body["contents"] for part in content["parts"]]
        return [part["functionResponse"]["response"]["output"] for part in parts if "functionResponse" in part]
    messages = body["messages"]
    if results := [join_texts(message["content"]) for message in messages if message["role"] == "tool"]:
        return results
    return read_received_results(body)


def read_received_results(body: Json) -> list[str]:
    blocks = [block for message in body["messages"] for block in read_blocks(message)]
    return [join_texts(block["content"]) for block in blocks if block["type"] == "tool_result"]


def read_blocks(message: Json) -> list[Json]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def iter_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from iter_texts(inner)


def find_foreign_texts(body: Json, sent: Json) -> list[str]:
    """Return the texts of the upstream request that the agent did not send."""
    sent_texts = set(iter_texts(sent))
    whole = "\n\n".join(sent_texts)
    texts = [block["text"] for message in body["messages"] for block in read_blocks(message) if block["type"] == "text"]
    system = [block["text"] for block in body["system"] if not block["text"].startswith(CLI_BLOCKS)]
    paragraphs = [paragraph for text in system for paragraph in text.split("\n\n")]
    return [text for text in texts if text not in sent_texts] + [text for text in paragraphs if text not in whole]


def read_prompt_tokens(usage: Json) -> int:
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return sum(int(usage[name]) for name in names)


@pytest.mark.parametrize("client", AGENTS, ids=lambda client: client.name)
async def test_agent_works_for_thirty_turns(
    testbed: AgentTestbed, client: Client, tmp_path: Path, installs: Installs
) -> None:
    before = await testbed.count_conversation_loads()

    await run_agent(testbed, client, tmp_path, installs, TURNS)

    for base in range(0, TURNS, 6):
        content = (tmp_path / step_file_name(base)).read_text()
        assert content == step_file_content(base).replace("VALUE = 0", f"VALUE = {base + 2}")
    assert (tmp_path / "log.txt").read_text().splitlines() == [f"step {n}" for n in range(5, TURNS, 6)]

    sent: list[Exchange] = [exchange for exchange in testbed.recorder.exchanges if is_agent_request(exchange.body)]
    received: list[RecordedRequest] = [
        request for request in testbed.upstream.chat_requests if is_agent_request(request.body)
    ]
    other_count = OTHER_REQUESTS.get(client.id, 0)
    statuses = [exchange.status for exchange in testbed.recorder.exchanges if exchange.method == "POST"]
    assert statuses == [200] * (TURNS + 1 + other_count)
    assert (len(sent), len(received), len(testbed.upstream.chat_requests)) == (
        TURNS + 1,
        TURNS + 1,
        TURNS + 1 + other_count,
    )

    for exchange, request in zip(sent, received, strict=True):
        assert read_received_results(request.body) == read_sent_results(exchange.body)
        assert find_foreign_texts(request.body, exchange.body) == []

    assert len(read_sent_results(sent[-1].body)) > TURNS

    for earlier, later in pairwise(received):
        assert later.usage["cache_read_input_tokens"] >= 0.95 * read_prompt_tokens(earlier.usage)

    after = await testbed.count_conversation_loads()
    reused = after["reused"] - before.get("reused", 0)
    assert reused >= TURNS - REPLAYED_TURNS.get(client.id, 0) - other_count


@pytest.mark.parametrize("client", AGENTS, ids=lambda client: client.name)
async def test_agent_survives_upstream_faults(
    testbed: AgentTestbed, client: Client, tmp_path: Path, installs: Installs
) -> None:
    faults = ",".join(f"{2 * number + 1}:{fault}" for number, fault in enumerate(FAULTS[client.id]))

    await run_agent(testbed, client, tmp_path, installs, TURNS_WITH_FAULTS, f"pace=0.001 faults={faults}")

    assert (tmp_path / step_file_name(0)).read_text().startswith(step_file_content(0)[:40])
    received = [request for request in testbed.upstream.chat_requests if is_agent_request(request.body)]
    assert len(received) > TURNS_WITH_FAULTS + 1
