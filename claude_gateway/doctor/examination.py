"""`claude-gateway doctor`: everything that a gateway of these settings needs, looked at one by one."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

from claude_gateway.claude_code.bundled_cli import bundled_cli, bundled_version
from claude_gateway.config import Settings
from claude_gateway.doctor import addresses, claude_code, verdicts
from claude_gateway.doctor.findings import Finding, failed, ok, skipped
from claude_gateway.doctor.machine import Machine, directory_complaint, examine_database, newest, stored_damage
from claude_gateway.own_tools.built_in import USUAL
from claude_gateway.stores.db import DATABASE
from workers.engine import box_here
from workers.errors import WorkerError

# What is left to be said of the CLI where it does not run.
_USUAL_MIB = 170.0


async def examine(settings: Settings, url: str | None, machine: Machine = Machine()) -> list[Finding]:  # noqa: B008
    """Nothing is changed by it and nothing sent upstream. `url`: the public address, "" or None for none."""
    port, running = await addresses.port(settings)
    cli = await asyncio.to_thread((settings.claude_cli_path or bundled_cli()).expanduser().resolve)
    about_cli, worker_mib = await _claude_code(settings, cli)
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
        *(list(verdicts.fit(settings)) or [ok("Settings", "they fit together")]),
        await addresses.streaming(url, key) if url else verdicts.no_streaming(),
    ]


async def _claude_code(settings: Settings, cli: Path) -> tuple[list[Finding], float]:
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
    return [
        ok(subject, str(cli)),
        verdicts.version(said.version, pinned, str(cli)),
        verdicts.login(settings.auth_method, said.account),
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
