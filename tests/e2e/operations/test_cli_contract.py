"""Each contract check, that is, each behavior of the CLI on which the workers rely, on the bundled binary itself.

When the pinned version in pyproject.toml changes, a check that no longer holds fails here under its own name.
`claude-gateway check-cli` runs the same checks on any other binary.
"""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from claude_gateway.claude_code.binary import find_bundled_binary, read_bundled_version
from claude_gateway.devtools.cli_contract.check import ContractCheck
from claude_gateway.devtools.cli_contract.runner import CONTRACT_CHECKS, run_contract_check, run_contract_checks

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("check", CONTRACT_CHECKS, ids=lambda check: check.name)
async def test_contract_check_passes_on_the_bundled_binary(check: ContractCheck) -> None:
    await run_contract_check(check, find_bundled_binary())


async def test_wheel_metadata_has_the_version_of_its_binary() -> None:
    process = await asyncio.create_subprocess_exec(
        str(find_bundled_binary()), "--version", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    assert output.decode().split()[0] == await asyncio.to_thread(read_bundled_version)


OLD_MODELS, REWIND = (
    next(check for check in CONTRACT_CHECKS if check.name == name)
    for name in ("old_models_are_not_replaced", "a_rewind_requires_the_id_of_the_newest_question")
)


@pytest.fixture
def older_binary(tmp_path: Path) -> Path:
    """Return a binary that ignores a variable on which the workers rely."""
    path = tmp_path / "claude"
    path.write_text(f'#!/bin/sh\nunset CLAUDE_CODE_DISABLE_LEGACY_MODEL_REMAP\nexec {find_bundled_binary()} "$@"\n')
    path.chmod(0o700)
    return path


async def test_failed_check_of_another_binary_is_named_with_its_observation(older_binary: Path) -> None:
    failed, passed = await run_contract_checks(older_binary, [OLD_MODELS, REWIND])
    assert not failed.has_passed
    assert "instead of 'claude-opus-4-1-20250805'" in failed.actual
    assert passed.has_passed


@pytest.mark.parametrize("program", ["/bin/true", "/bin/cat"])
async def test_all_checks_fail_on_a_binary_that_is_not_claude(program: str) -> None:
    (result,) = await run_contract_checks(Path(program), [REWIND])
    assert not result.has_passed


async def test_check_cli_lists_each_check_and_fails_if_one_fails() -> None:
    command = (sys.executable, "-m", "claude_gateway.cli.main", "check-cli", "/bin/false", "--json")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    lines = json.loads(output)
    assert process.returncode == 1
    assert [line["subject"] for line in lines] == [check.title for check in CONTRACT_CHECKS]
    assert {line["state"] for line in lines} == {"failed"}
