"""Functions that run contract checks with a given `claude` binary."""

import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from claude_gateway.devtools.cli_contract import agents, chat, client_tools, login_limits, media
from claude_gateway.devtools.cli_contract.check import ContractCheck, ContractCheckFailed
from claude_gateway.devtools.cli_contract.driver import run_cli
from claude_gateway.devtools.fake_anthropic.server import run_fake_anthropic
from workers.cli.protocol import RemoteProtocolError

CONTRACT_CHECKS: tuple[ContractCheck, ...] = (
    *chat.contract_check.checks,
    *client_tools.contract_check.checks,
    *agents.contract_check.checks,
    *media.contract_check.checks,
    *login_limits.contract_check.checks,
)
_CHECK_TIMEOUT_SECONDS = 60
_MAX_CONCURRENT_CHECKS = 2


@dataclass(frozen=True, slots=True)
class ContractCheckResult:
    """Result of one contract check.

    Attributes:
        check: The contract check.
        actual: The actual behaviour of the binary; "" if the check has passed.
    """

    check: ContractCheck
    actual: str

    @property
    def has_passed(self) -> bool:
        """Whether the binary behaves as the statement of the check says."""
        return not self.actual


async def run_contract_check(check: ContractCheck, binary: Path) -> None:
    """Run one contract check with a new process of the `claude` binary.

    Raises:
        ContractCheckFailed: The statement of the check is false, or the check could not run.
    """
    directory = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="claude-gateway-contract-"))
    try:
        conversation = await asyncio.to_thread(check.write_resume_file, directory) if check.write_resume_file else None
        async with (
            asyncio.timeout(_CHECK_TIMEOUT_SECONDS),
            run_fake_anthropic() as upstream,
            run_cli(binary, upstream, directory, check.builtin_tools, conversation, check.auth_method) as cli,
        ):
            await check.function(cli, upstream)
    except TimeoutError:
        raise ContractCheckFailed(f"the CLI did not respond within {_CHECK_TIMEOUT_SECONDS} seconds") from None
    except (OSError, EOFError, RemoteProtocolError) as error:
        raise ContractCheckFailed(str(error)) from error
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise ContractCheckFailed(f"the frames have another structure: {error!r}") from error
    finally:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


async def run_contract_checks(
    binary: Path, checks: Sequence[ContractCheck] = CONTRACT_CHECKS
) -> list[ContractCheckResult]:
    """Run contract checks, at most two at the same time, and return their results in the order of the checks."""
    slots = asyncio.Semaphore(_MAX_CONCURRENT_CHECKS)

    async def get_result(check: ContractCheck) -> ContractCheckResult:
        async with slots:
            try:
                await run_contract_check(check, binary)
            except ContractCheckFailed as error:
                return ContractCheckResult(check, str(error))
            return ContractCheckResult(check, "")

    return list(await asyncio.gather(*map(get_result, checks)))
