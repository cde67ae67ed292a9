"""Real coding agents work for dozens of turns through the gateway: nothing is lost, changed, added or asked twice.

They come from the locks in `tests/clients`. Where those cannot be installed, which needs the package registries, the
tests are skipped with that reason; with `CI` set they fail.
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

from claude_gateway.demo.agent import file_name, written
from claude_gateway.demo.upstream import Received, StandIn, stand_in
from tests.clients.cell import run_program
from tests.clients.installs import NODE, OWN, Installs, prepare
from tests.clients.roster import CLIENTS
from tests.clients.visit import KEY, Client, Visit
from tests.clients.witness import Exchange, Witness, witness
from tests.e2e.conftest import gateway_on

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

TURNS = 30
TURNS_WITH_FAULTS = 12
# The faults after which each goes on with its work.
FAULTS: Mapping[str, tuple[str, ...]] = {
    "Claude Code messages": ("529", "429", "cut", "too_long", "max_tokens"),
    "Codex CLI responses": ("529", "429"),
    "Gemini CLI gemini": ("529", "429"),
    "OpenCode chat": ("529", "429"),
}
AGENTS = [client for client in CLIENTS if client.id in FAULTS]
# Claude Code sends each change back with `replace_all: false`, which the model did not say: no longer the same turn.
REBUILT = {"Claude Code messages": len(range(2, TURNS, 6))}
# Gemini CLI asks in between whether the work goes round in circles, which is another conversation.
ASKED_BESIDES = {"Gemini CLI gemini": 1}
# What the CLI puts in front of the system prompt.
CLI_BLOCKS = ("x-anthropic-billing-header:", "You are a Claude agent, built on Anthropic's Claude Agent SDK.")

Json = dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """The gateway with the stand-in behind it and a listener in front of it. One process, so that no turn may find its
    conversation's own busy and be put into the other."""

    upstream: StandIn
    seen: Witness
    gateway: str

    async def histories(self) -> dict[str, int]:
        """How often a conversation was found in its process, and how often it was built anew."""
        key = {"authorization": f"Bearer {KEY}"}
        async with aiohttp.ClientSession(headers=key) as session, session.get(f"{self.gateway}/metrics") as response:
            lines = (await response.text()).splitlines()
        found: dict[str, int] = {}
        for line in lines:
            if line.startswith("gateway_histories_total{"):
                how = line.partition('how="')[2].partition('"')[0]
                found[how] = int(float(line.rpartition(" ")[2]))
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    state = tmp_path_factory.mktemp("state")
    async with (
        stand_in() as upstream,
        gateway_on(upstream, state, api_key=SecretStr(KEY), chat_workers=1) as gateway,
        witness(gateway.url) as watching,
    ):
        yield Stage(upstream, watching, gateway.url)


@pytest.fixture(scope="session")
def installs() -> Installs:
    return prepare({OWN, NODE})


async def work(stage: Stage, client: Client, folder: Path, installs: Installs, turns: int, options: str = "") -> None:
    """Have the agent work to its end, with what the stand-in and the listener saw left in them."""
    if failure := installs.failed.get(client.install):
        told = f"{client.name} is not installed, which needs the package registries: {failure}"
        pytest.fail(told) if os.environ.get("CI") else pytest.skip(told)
    stage.seen.forget()
    stage.upstream.forget()
    visit = Visit("agent", stage.seen.url, folder, installs, f"turns={turns} dir={folder} {options}".strip())
    program = client.program(visit)
    run = await run_program(program, visit, stage.seen)
    assert run.status == 0, (run.output[-2_000:], run.complaints[-2_000:])
    assert "".join(program.read(run.output)).strip().endswith(f"All {turns} steps are done."), run.output[-2_000:]


def is_work(body: Any) -> bool:
    """Whether a request, in whatever dialect, is one of the work itself: programs ask for titles and more besides."""
    return isinstance(body, dict) and bool(body.get("tools")) and "{{agent " in str(body)


def text_of(content: Any) -> str:
    """Of a string, or of blocks or parts with a text."""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def results_sent(body: Json) -> list[str]:
    """What the tools gave, as the program's own request carries it."""
    if "input" in body:
        return [text_of(item["output"]) for item in body["input"] if item.get("type") == "function_call_output"]
    if "contents" in body:
        parts = [part for content in body["contents"] for part in content["parts"]]
        return [part["functionResponse"]["response"]["output"] for part in parts if "functionResponse" in part]
    messages = body["messages"]
    if results := [text_of(message["content"]) for message in messages if message["role"] == "tool"]:
        return results
    return results_received(body)


def results_received(body: Json) -> list[str]:
    blocks = [block for message in body["messages"] for block in blocks_of(message)]
    return [text_of(block["content"]) for block in blocks if block["type"] == "tool_result"]


def blocks_of(message: Json) -> list[Json]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts_in(inner)


def foreign_texts(body: Json, sent: Json) -> list[str]:
    """The texts of a prompt that the program did not send."""
    known = set(texts_in(sent))
    whole = "\n\n".join(known)
    found = [block["text"] for message in body["messages"] for block in blocks_of(message) if block["type"] == "text"]
    system = [block["text"] for block in body["system"] if not block["text"].startswith(CLI_BLOCKS)]
    paragraphs = [paragraph for text in system for paragraph in text.split("\n\n")]
    return [text for text in found if text not in known] + [text for text in paragraphs if text not in whole]


def prompt_tokens(usage: Json) -> int:
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return sum(int(usage[name]) for name in names)


@pytest.mark.parametrize("client", AGENTS, ids=lambda client: client.name)
async def test_agent_works_for_thirty_turns(stage: Stage, client: Client, tmp_path: Path, installs: Installs) -> None:
    before = await stage.histories()

    await work(stage, client, tmp_path, installs, TURNS)

    for base in range(0, TURNS, 6):
        made = (tmp_path / file_name(base)).read_text()
        assert made == written(base).replace("VALUE = 0", f"VALUE = {base + 2}")
    assert (tmp_path / "log.txt").read_text().splitlines() == [f"step {n}" for n in range(5, TURNS, 6)]

    asked: list[Exchange] = [one for one in stage.seen.exchanges if is_work(one.body)]
    received: list[Received] = [one for one in stage.upstream.chats if is_work(one.body)]
    besides = ASKED_BESIDES.get(client.id, 0)
    assert [one.status for one in stage.seen.exchanges if one.method == "POST"] == [200] * (TURNS + 1 + besides)
    assert (len(asked), len(received), len(stage.upstream.chats)) == (TURNS + 1, TURNS + 1, TURNS + 1 + besides)

    for sent, got in zip(asked, received, strict=True):
        assert results_received(got.body) == results_sent(sent.body)
        assert foreign_texts(got.body, sent.body) == []

    assert len(results_sent(asked[-1].body)) > TURNS

    for earlier, later in pairwise(received):
        assert later.usage["cache_read_input_tokens"] >= 0.95 * prompt_tokens(earlier.usage)

    after = await stage.histories()
    resident = after["resident"] - before.get("resident", 0)
    assert resident >= TURNS - REBUILT.get(client.id, 0) - besides


@pytest.mark.parametrize("client", AGENTS, ids=lambda client: client.name)
async def test_agent_survives_faults_of_the_upstream(
    stage: Stage, client: Client, tmp_path: Path, installs: Installs
) -> None:
    faults = ",".join(f"{2 * number + 1}:{fault}" for number, fault in enumerate(FAULTS[client.id]))

    await work(stage, client, tmp_path, installs, TURNS_WITH_FAULTS, f"pace=0.001 faults={faults}")

    assert (tmp_path / file_name(0)).read_text().startswith(written(0)[:40])
    received = [one for one in stage.upstream.chats if is_work(one.body)]
    assert len(received) > TURNS_WITH_FAULTS + 1
