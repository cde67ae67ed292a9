"""`claude-gateway check-cli PATH`: whether the engine could work with another `claude` binary."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from claude_gateway.cli_facts.verdicts import Verdict, verdicts
from claude_gateway.doctor.findings import Finding, failed, ok
from claude_gateway.start_failed import StartFailed


async def check_cli(binary: Path) -> Sequence[Finding]:
    """A line for each fact. Raises `StartFailed` where there is nothing to run."""
    if not await asyncio.to_thread(binary.is_file):
        raise StartFailed(f"No claude binary at {binary}.")
    return [_finding(verdict) for verdict in await verdicts(binary)]


def _finding(verdict: Verdict) -> Finding:
    if verdict.holds:
        return ok(verdict.fact.sentence, "holds")
    return failed(verdict.fact.sentence, f"seen: {verdict.seen}", verdict.fact.why)
