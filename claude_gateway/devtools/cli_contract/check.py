"""Classes and functions for contract checks, which verify statements about the behaviour of a `claude` binary."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claude_gateway.devtools.cli_contract.driver import CliDriver
from claude_gateway.devtools.fake_anthropic.server import FakeAnthropic
from workers.core.settings import AuthMethod

CheckFunction = Callable[[CliDriver, FakeAnthropic], Awaitable[None]]


class ContractCheckFailed(Exception):
    """Raised if the binary does not behave as the statement of a check says.

    The text of the error describes the actual behaviour.
    """


@dataclass(frozen=True, slots=True)
class ContractCheck:
    """A statement about the behaviour of the CLI, with a function that verifies the statement.

    Attributes:
        name: The statement, with underscores instead of spaces.
        reason: The reason why the gateway relies on the statement.
        function: The function that verifies the statement. It raises `ContractCheckFailed` if the statement is false.
        builtin_tools: The built-in tools of the process that the check starts; None if the process is a chat process,
            which has no built-in tools.
        write_resume_file: A function that writes a file with a conversation and returns the path of the file. The
            process resumes the conversation from this file. None if the process starts without a conversation.
        auth_method: The method with which a chat process authenticates itself to the upstream.
    """

    name: str
    reason: str
    function: CheckFunction
    builtin_tools: tuple[str, ...] | None = None
    write_resume_file: Callable[[Path], Path] | None = None
    auth_method: AuthMethod = AuthMethod.API_KEY

    @property
    def title(self) -> str:
        """The statement as an English sentence."""
        return self.name.replace("_", " ").capitalize() + "."


class ContractCheckRegistry:
    """Decorator that collects the contract checks in one module in a list, in the order of their definitions."""

    def __init__(self) -> None:
        self.checks: list[ContractCheck] = []

    def __call__(
        self,
        reason: str,
        *,
        builtin_tools: tuple[str, ...] | None = None,
        write_resume_file: Callable[[Path], Path] | None = None,
        auth_method: AuthMethod = AuthMethod.API_KEY,
    ) -> Callable[[CheckFunction], CheckFunction]:
        """Return a decorator that adds a function to the contract checks. `ContractCheck` describes the arguments."""

        def register(check: CheckFunction) -> CheckFunction:
            self.checks.append(
                ContractCheck(
                    getattr(check, "__name__", ""), reason, check, builtin_tools, write_resume_file, auth_method
                )
            )
            return check

        return register


def require_equal(actual: Any, expected: Any) -> None:
    """Raise `ContractCheckFailed` if the actual value and the expected value differ."""
    if actual != expected:
        raise ContractCheckFailed(f"{_abbreviate(actual)} instead of {_abbreviate(expected)}")


def require(condition: bool, actual: Any) -> None:
    """Raise `ContractCheckFailed` if the condition is false. The text of the exception contains the value `actual`."""
    if not condition:
        raise ContractCheckFailed(_abbreviate(actual))


def _abbreviate(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
