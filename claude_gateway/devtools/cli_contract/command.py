"""Command `claude-gateway check-cli PATH`, which checks whether the workers can use another `claude` binary."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from claude_gateway.core.errors import StartupError
from claude_gateway.devtools.cli_contract.runner import ContractCheckResult, run_contract_checks
from claude_gateway.doctor.result import CheckResult, failed_result, ok_result


async def check_cli(binary: Path) -> Sequence[CheckResult]:
    """Run all contract checks with a `claude` binary, and return their results.

    Raises:
        StartupError: The binary does not exist.
    """
    if not await asyncio.to_thread(binary.is_file):
        raise StartupError(f"There is no claude binary at {binary}. Check the path.")
    return [_to_check_result(result) for result in await run_contract_checks(binary)]


def _to_check_result(result: ContractCheckResult) -> CheckResult:
    if result.has_passed:
        return ok_result(result.check.title, "holds")
    return failed_result(result.check.title, f"actual: {result.actual}", result.check.reason)
