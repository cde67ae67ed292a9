"""Runs all checks of the command `claude-gateway doctor` with the current settings."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from claude_gateway.builtin_tools.catalog import DEFAULT_TOOLS
from claude_gateway.claude_code.binary import find_bundled_binary, read_bundled_version
from claude_gateway.config import Settings
from claude_gateway.config.loading import find_api_key_problem
from claude_gateway.doctor import checks, claude_code, memory_checks, network
from claude_gateway.doctor.host import (
    HostProbe,
    find_directory_problem,
    inspect_database,
    newest_mtime,
    scan_stored_rows,
)
from claude_gateway.doctor.result import CheckResult, CheckStatus, failed_result, ok_result, skipped_result
from claude_gateway.storage.database import DATABASE_FILE_NAME
from workers.core.errors import WorkerError
from workers.core.settings import LaunchSettings
from workers.engine import probe_sandboxes

# Assumed memory usage of a worker if the CLI does not start.
_DEFAULT_WORKER_MIB = 170.0


@dataclass(frozen=True, slots=True)
class InstalledService:
    """The installed service to which the settings belong.

    Attributes:
        listen_address: Address and port on which systemd listens for the service; None if the service itself listens.
        unreadable_credentials: Names of credentials that the service may have, but that the current user cannot read.
    """

    listen_address: tuple[str, int] | None = None
    unreadable_credentials: frozenset[str] = frozenset()


async def run_doctor(
    settings: Settings,
    public_url: str | None,
    host: HostProbe = HostProbe(),  # noqa: B008
    service: InstalledService = InstalledService(),
) -> list[CheckResult]:
    """Run all checks of the doctor command. They change nothing, and send nothing to the upstream.

    Args:
        settings: The settings.
        public_url: The public address of the gateway; "" or None to skip the check of this address.
        host: The functions that inspect the machine.
        service: The installed service to which the settings belong.
    """
    port_result, is_running = await network.probe_port(_with_listen_address(settings, service.listen_address))
    cli = await asyncio.to_thread((settings.claude_cli_path or find_bundled_binary()).expanduser().resolve)
    cli_results, worker_mib = await _evaluate_claude_code(settings, cli, service.unreadable_credentials)
    path = settings.state_dir / DATABASE_FILE_NAME
    memory = await host.read_memory()
    key = settings.api_key.get_secret_value() if settings.api_key else None
    return [
        *cli_results,
        await _evaluate_sandbox(settings, cli),
        port_result,
        *[result async for result in _evaluate_directories(settings)],
        checks.evaluate_disk(await asyncio.to_thread(host.free_bytes, settings.state_dir), str(settings.state_dir)),
        checks.evaluate_database(str(path), *await asyncio.to_thread(inspect_database, path)),
        checks.evaluate_stored_rows(await asyncio.to_thread(scan_stored_rows, path)),
        memory_checks.evaluate_memory(settings, worker_mib, memory.total_mib if is_running else memory.available_mib),
        memory_checks.evaluate_chat_processes(settings, memory),
        checks.evaluate_open_files(settings, host.max_open_files()),
        checks.evaluate_clock(host.now(), await asyncio.to_thread(newest_mtime, path, Path(__file__))),
        *(
            _evaluate_settings(settings, service.unreadable_credentials)
            or [ok_result("Settings", "they work together")]
        ),
        await network.probe_streaming(public_url, key) if public_url else checks.skip_streaming(),
    ]


def _with_listen_address(settings: Settings, address: tuple[str, int] | None) -> Settings:
    if address is None:
        return settings
    host, port = address
    return settings.model_copy(update={"claude_wrapper_host": host, "port": port})


def _evaluate_settings(settings: Settings, unreadable_credentials: frozenset[str]) -> list[CheckResult]:
    problem = find_api_key_problem(settings)
    failures = [failed_result("Settings", problem, "correct it: a gateway does not start with it")] if problem else []
    return [*failures, *checks.find_setting_conflicts(settings, unreadable_credentials)]


async def _evaluate_claude_code(
    settings: Settings, cli_path: Path, unreadable_credentials: frozenset[str]
) -> tuple[list[CheckResult], float]:
    """Return the results of the checks of Claude Code, and the memory usage of one process in MiB."""
    subject = "Claude Code"
    if not await asyncio.to_thread(lambda: cli_path.is_file() and os.access(cli_path, os.X_OK)):
        return [
            failed_result(subject, f"no program at {cli_path}", "unset CLAUDE_CLI_PATH, or run `make setup`")
        ], _DEFAULT_WORKER_MIB
    launch, *other_launches = settings.launch_settings(cli_path)
    try:
        report = await claude_code.start_and_inspect(launch)
    except WorkerError as error:
        last_line = error.detail.splitlines()[-1:] or [""]
        detail = f"{cli_path} does not start: {error.message} {last_line[0][:200]}".strip()
        return [
            failed_result(subject, detail, "run it by hand as the user of the gateway, or unset CLAUDE_CLI_PATH"),
            skipped_result(f"Login ({settings.auth_method.value})", "only a running Claude Code reports its login"),
        ], _DEFAULT_WORKER_MIB
    pinned = await asyncio.to_thread(read_bundled_version)
    login = checks.evaluate_login(settings.auth_method, report.account)
    if login.status is CheckStatus.FAILED and unreadable_credentials:
        login = skipped_result(
            login.subject, "the service may get it from systemd as a credential: run this command as root to check it"
        )
    return [
        ok_result(subject, str(cli_path)),
        checks.evaluate_version(report.version, pinned, str(cli_path)),
        login,
        *[await _evaluate_other_login(other) for other in other_launches],
    ], report.rss_mib


async def _evaluate_other_login(launch: LaunchSettings) -> CheckResult:
    """Return the result of the check of a login of `LOGINS_FILE` after the first one."""
    try:
        report = await claude_code.start_and_inspect(launch)
    except WorkerError as error:
        return failed_result(
            f"Login {launch.name} ({launch.auth_method.value})",
            f"Claude Code does not start with it: {error.message}",
            "correct its variables in LOGINS_FILE",
        )
    return checks.evaluate_login(launch.auth_method, report.account, launch.name)


async def _evaluate_sandbox(settings: Settings, cli_path: Path) -> CheckResult:
    _, problem = await probe_sandboxes(settings.launch_settings(cli_path), settings.agent_settings(DEFAULT_TOOLS))
    return checks.evaluate_sandbox(problem, allow_unsandboxed=settings.allow_unsandboxed_tools)


async def _evaluate_directories(settings: Settings) -> AsyncIterator[CheckResult]:
    directories = {"STATE_DIR": settings.state_dir, "CLAUDE_CWD": settings.claude_cwd}
    for name, path in directories.items():
        if path is None:
            continue
        problem = await asyncio.to_thread(find_directory_problem, path)
        if problem:
            yield failed_result(
                name, f"{path}: {problem}", f"set {name} to a directory of the gateway's user with mode 700"
            )
        else:
            yield ok_result(name, f"{path} belongs to this user, or can be created")
