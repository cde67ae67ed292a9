"""`claude-gateway doctor`: everything that a gateway of these settings needs, looked at one by one."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from claude_gateway.claude_code.bundled_cli import bundled_cli, bundled_version
from claude_gateway.config import Settings
from claude_gateway.config.reading import weak_key
from claude_gateway.doctor import addresses, claude_code, verdicts
from claude_gateway.doctor.findings import Finding, State, failed, ok, skipped
from claude_gateway.doctor.machine import Machine, directory_complaint, examine_database, newest, stored_damage
from claude_gateway.own_tools.built_in import USUAL
from claude_gateway.stores.db import DATABASE
from workers.engine import box_here
from workers.errors import WorkerError

# What is left to be said of the CLI where it does not run.
_USUAL_MIB = 170.0


@dataclass(frozen=True, slots=True)
class Installed:
    """What is known of the service that runs with these settings. `address`: where systemd listens for it; None where
    it listens itself. `hidden`: credentials that it may have, and that this user cannot look at."""

    address: tuple[str, int] | None = None
    hidden: frozenset[str] = frozenset()


async def examine(
    settings: Settings,
    url: str | None,
    machine: Machine = Machine(),  # noqa: B008
    installed: Installed = Installed(),
) -> list[Finding]:
    """Nothing is changed by it and nothing sent upstream. `url`: the public address, "" or None for none."""
    port, running = await addresses.port(_listening_at(settings, installed.address))
    cli = await asyncio.to_thread((settings.claude_cli_path or bundled_cli()).expanduser().resolve)
    about_cli, worker_mib = await _claude_code(settings, cli, installed.hidden)
    path = settings.state_dir / DATABASE
    memory = await asyncio.to_thread(lambda: machine.memory_mib(running=running))
    key = settings.api_key.get_secret_value() if settings.api_key else None
    return [
        *about_cli,
        await _sandbox(settings, cli),
        port,
        *[finding async for finding in _directories(settings)],
        verdicts.disk(await asyncio.to_thread(machine.free_bytes, settings.state_dir), str(settings.state_dir)),
        verdicts.database(str(path), *await asyncio.to_thread(examine_database, path)),
        verdicts.stored_rows(await asyncio.to_thread(stored_damage, path)),
        verdicts.memory(settings, worker_mib, memory),
        verdicts.open_files(settings, machine.most_open_files()),
        verdicts.clock(machine.now(), await asyncio.to_thread(newest, path, Path(__file__))),
        *(_settings(settings, installed.hidden) or [ok("Settings", "they fit together")]),
        await addresses.streaming(url, key) if url else verdicts.no_streaming(),
    ]


def _listening_at(settings: Settings, address: tuple[str, int] | None) -> Settings:
    if address is None:
        return settings
    host, port = address
    return settings.model_copy(update={"claude_wrapper_host": host, "port": port})


def _settings(settings: Settings, hidden: frozenset[str]) -> list[Finding]:
    complaint = weak_key(settings)
    weak = [failed("Settings", complaint, "a gateway does not start with it")] if complaint else []
    return [*weak, *verdicts.fit(settings, hidden)]


async def _claude_code(settings: Settings, cli: Path, hidden: frozenset[str]) -> tuple[list[Finding], float]:
    """What it says of itself, and the memory of one process in MiB."""
    subject = "Claude Code"
    if not await asyncio.to_thread(lambda: cli.is_file() and os.access(cli, os.X_OK)):
        return [failed(subject, f"no program at {cli}", "unset CLAUDE_CLI_PATH, or install: make setup")], _USUAL_MIB
    try:
        said = await claude_code.ask(settings.launch(cli))
    except WorkerError as error:
        last = error.detail.splitlines()[-1:] or [""]
        seen = f"{cli} does not start: {error.message} {last[0][:200]}".strip()
        return [
            failed(subject, seen, "run it by hand as the user who serves; unset CLAUDE_CLI_PATH"),
            skipped(f"Login ({settings.auth_method.value})", "only Claude Code could tell"),
        ], _USUAL_MIB
    pinned = await asyncio.to_thread(bundled_version)
    login = verdicts.login(settings.auth_method, said.account)
    if login.state is State.FAILED and hidden:
        login = skipped(
            login.subject, "the service may have it from systemd, as a credential: run this as root to see it"
        )
    return [
        ok(subject, str(cli)),
        verdicts.version(said.version, pinned, str(cli)),
        login,
    ], said.mebibytes


async def _sandbox(settings: Settings, cli: Path) -> Finding:
    _, complaint = await box_here(settings.launch(cli), settings.agents(USUAL))
    return verdicts.sandbox(complaint, unsandboxed=settings.allow_unsandboxed_tools)


async def _directories(settings: Settings) -> AsyncIterator[Finding]:
    places = {"STATE_DIR": settings.state_dir, "CLAUDE_CWD": settings.claude_cwd}
    for name, path in places.items():
        if path is None:
            continue
        complaint = await asyncio.to_thread(directory_complaint, path)
        if complaint:
            yield failed(name, f"{path}: {complaint}", f"a directory of the gateway's own user, mode 700, as {name}")
        else:
            yield ok(name, f"{path} is this user's, or can be made")
