"""Each fact about the CLI that the engine is built on, asserted on the binary itself.

When the pin in pyproject.toml moves, a fact that no longer holds fails here by its own name. `claude-gateway check-cli`
tries the same on any other binary.
"""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from claude_gateway.claude_code.bundled_cli import bundled_cli, bundled_version
from claude_gateway.cli_facts.fact import Fact
from claude_gateway.cli_facts.verdicts import FACTS, see, verdicts

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
async def test_it_holds_on_the_bundled_binary(fact: Fact) -> None:
    await see(fact, bundled_cli())


async def test_the_wheel_says_which_version_its_binary_is() -> None:
    asked = await asyncio.create_subprocess_exec(str(bundled_cli()), "--version", stdout=asyncio.subprocess.PIPE)
    said, _ = await asyncio.wait_for(asked.communicate(), 30)
    assert said.decode().split()[0] == await asyncio.to_thread(bundled_version)


OLD_MODELS, CUTS = (
    next(fact for fact in FACTS if fact.name == name)
    for name in ("old_models_are_not_replaced", "it_cuts_only_for_one_who_knows_the_newest_question")
)


@pytest.fixture
def otherwise(tmp_path: Path) -> Path:
    """A binary that does not know a variable which the engine relies on."""
    path = tmp_path / "claude"
    path.write_text(f'#!/bin/sh\nunset CLAUDE_CODE_DISABLE_LEGACY_MODEL_REMAP\nexec {bundled_cli()} "$@"\n')
    path.chmod(0o700)
    return path


async def test_what_does_not_hold_on_another_binary_is_named_with_what_was_seen(otherwise: Path) -> None:
    broken, sound = await verdicts(otherwise, [OLD_MODELS, CUTS])
    assert not broken.holds
    assert "instead of 'claude-opus-4-1-20250805'" in broken.seen
    assert sound.holds


@pytest.mark.parametrize("program", ["/bin/true", "/bin/cat"])
async def test_on_what_is_no_claude_no_fact_holds(program: str) -> None:
    (verdict,) = await verdicts(Path(program), [CUTS])
    assert not verdict.holds


async def test_the_verb_says_of_each_fact_whether_it_holds_and_fails_where_one_does_not() -> None:
    command = (sys.executable, "-m", "claude_gateway.cli", "check-cli", "/bin/false", "--json")
    asked = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await asyncio.wait_for(asked.communicate(), 60)
    lines = json.loads(said)
    assert asked.returncode == 1
    assert [line["subject"] for line in lines] == [fact.sentence for fact in FACTS]
    assert {line["state"] for line in lines} == {"failed"}
