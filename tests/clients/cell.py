"""One cell of the table: a client run for one verb in a folder of its own, and what was wrong with it, if anything."""

import asyncio
import contextlib
import os
import select
import signal
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.clients.installs import Installs
from tests.clients.visit import KEY, MODEL, NOTED, Client, Program, Visit
from tests.clients.witness import Exchange, Witness

_SECONDS = 90
_MOST_SHOWN = 800
_HERE_ALONE = "127.0.0.1,localhost"


@dataclass(frozen=True, slots=True)
class Run:
    """What was seen of a program: its end, what it printed, what it sent, and where else it wanted to go."""

    status: int
    output: str
    complaints: str
    exchanges: tuple[Exchange, ...] = ()
    strays: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """`wrong` says why it is red, and is empty where it is not; `exchanges` are the requests that were sent."""

    wrong: str
    exchanges: tuple[Exchange, ...] = ()

    @property
    def word(self) -> str:
        return "FAILED" if self.wrong else "ok"


async def run_cell(client: Client, verb: str, installs: Installs, seen: Witness) -> Cell:
    if failure := installs.failed.get(client.install):
        return Cell(f"not installed: {failure}")
    seen.forget()
    with tempfile.TemporaryDirectory(prefix="claude-gateway-client-", ignore_cleanup_errors=True) as name:
        visit = Visit(verb, seen.url, Path(name), installs)
        visit.note.write_text(NOTED)
        program = client.program(visit)
        try:
            run = await run_program(program, visit, seen)
        except TimeoutError:
            return Cell(f"took longer than {_SECONDS} seconds", tuple(seen.exchanges))
        except OSError as error:
            return Cell(f"cannot be started: {error}")
        return Cell(verdict(program, verb, run), run.exchanges)


def verdict(program: Program, verb: str, run: Run) -> str:
    """What is wrong with a run, the most telling first; empty where nothing is."""
    if refused := [one for one in run.exchanges if one.status >= 400]:
        # Clients that try again without a word hide it: what they ask for the second time is less.
        return f"{refused[0].method} {refused[0].path} was answered with {refused[0].status}: {refused[0].error}"
    if run.status:
        return f"ended with status {run.status}: {_tail(run.output)} {_tail(run.complaints)}"
    try:
        pieces = program.read(run.output)
    except (ValueError, LookupError) as error:
        return f"printed what cannot be read ({error}): {_tail(run.output)} {_tail(run.complaints)}"
    answer = "".join(pieces).strip()
    if answer != program.question.answer:
        return f"answered {_tail(answer)!r} and not {program.question.answer!r} {_tail(run.complaints)}"
    in_pieces = _of_the_stream(program, pieces, run.exchanges) if verb == "stream" else ""
    return in_pieces or _of_the_strays(program, run.strays)


def _of_the_stream(program: Program, pieces: Sequence[str], exchanges: Sequence[Exchange]) -> str:
    if not any(one.streamed for one in exchanges):
        return "asked for no stream"
    return "the stream came in one piece" if len(pieces) < 2 and not program.whole else ""


def _of_the_strays(program: Program, strays: Sequence[str]) -> str:
    unknown = sorted(set(strays) - set(program.strays))
    return f"wanted to go to {', '.join(unknown)}" if unknown else ""


def _tail(text: str) -> str:
    return text.strip()[-_MOST_SHOWN:]


async def run_program(program: Program, visit: Visit, seen: Witness) -> Run:
    """A client run to its end. Raises `TimeoutError` where that takes too long."""
    process = await asyncio.create_subprocess_exec(
        *program.argv,
        env=_environment(visit, seen.proxy) | program.environment,
        cwd=visit.folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            output, complaints = await process.communicate()
    finally:
        await asyncio.to_thread(_end_all, process.pid, visit.folder)
        await process.wait()
    return Run(
        process.returncode or 0,
        output.decode(errors="replace"),
        complaints.decode(errors="replace"),
        tuple(seen.exchanges),
        tuple(seen.strays),
    )


def _end_all(group: int, home: Path) -> None:
    """The program's own group, and what it sent off into another: only what lives in its home is of its making."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if process.environ().get("HOME") == str(home):
                _end(process.pid)


def _end(pid: int) -> None:
    """Whoever reaps it: it is no more when this returns."""
    handle = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        select.select([handle], [], [], 10)
    finally:
        os.close(handle)


def _environment(visit: Visit, proxy: str) -> dict[str, str]:
    """Nothing of this machine's own settings, a home that is thrown away, and one way out, which is shut."""
    proxies = {f"{kind}_PROXY": proxy for kind in ("HTTP", "HTTPS", "ALL")} | {"NO_PROXY": _HERE_ALONE}
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(visit.folder),
        "TMPDIR": str(visit.folder),
        "LANG": "C.UTF-8",
        **proxies,
        **{name.lower(): value for name, value in proxies.items()},
        "NODE_USE_ENV_PROXY": "1",
        "DO_NOT_TRACK": "1",
        "GATEWAY_URL": visit.url,
        "GATEWAY_KEY": KEY,
        "GATEWAY_MODEL": MODEL,
    }
