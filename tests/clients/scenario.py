"""Run a client for one scenario in a directory of its own, and find the problem with the run, if there is one."""

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

from tests.clients.client import API_KEY, MODEL, NOTE_TEXT, Client, ClientRun, Program
from tests.clients.installs import Installs
from tests.clients.traffic_recorder import Exchange, TrafficRecorder

_TIMEOUT_SECONDS = 90
_MAX_SHOWN_CHARS = 800
_LOCAL_HOSTS = "127.0.0.1,localhost"


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """A program's exit status, output, requests, and the hosts that it tried to contact."""

    exit_status: int
    stdout: str
    stderr: str
    exchanges: tuple[Exchange, ...] = ()
    contacted_hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """The result of a scenario: its problem, or "" if it passed, and the requests of the client."""

    problem: str
    exchanges: tuple[Exchange, ...] = ()

    @property
    def label(self) -> str:
        return "FAILED" if self.problem else "ok"


async def run_scenario(client: Client, scenario: str, installs: Installs, recorder: TrafficRecorder) -> ScenarioResult:
    """Run a client for a scenario, and judge the run."""
    if failure := installs.failures.get(client.install_name):
        return ScenarioResult(f"not installed: {failure}")
    recorder.clear()
    with tempfile.TemporaryDirectory(prefix="claude-gateway-client-", ignore_cleanup_errors=True) as name:
        run = ClientRun(scenario, recorder.url, Path(name), installs)
        run.note_path.write_text(NOTE_TEXT)
        program = client.build_program(run)
        try:
            result = await run_program(program, run, recorder)
        except TimeoutError:
            return ScenarioResult(f"took longer than {_TIMEOUT_SECONDS} seconds", tuple(recorder.exchanges))
        except OSError as error:
            return ScenarioResult(f"cannot be started: {error}")
        return ScenarioResult(find_problem(program, scenario, result), result.exchanges)


def find_problem(program: Program, scenario: str, result: ProgramResult) -> str:
    """Return the most important problem of a run, or "" if there is none."""
    if rejected := [exchange for exchange in result.exchanges if exchange.status >= 400]:
        # Some clients retry silently with a smaller request, so a rejection would not show in the reply.
        return f"{rejected[0].method} {rejected[0].path} was rejected with {rejected[0].status}: {rejected[0].error}"
    if result.exit_status:
        return f"exited with status {result.exit_status}: {_tail(result.stdout)} {_tail(result.stderr)}"
    try:
        pieces = program.parse_output(result.stdout)
    except (ValueError, LookupError) as error:
        return f"printed an output that cannot be parsed ({error}): {_tail(result.stdout)} {_tail(result.stderr)}"
    reply = "".join(pieces).strip()
    if reply != program.question.expected_reply:
        return f"replied {_tail(reply)!r} and not {program.question.expected_reply!r} {_tail(result.stderr)}"
    stream_problem = _find_stream_problem(program, pieces, result.exchanges) if scenario == "stream" else ""
    return stream_problem or _find_host_problem(program, result.contacted_hosts)


def _find_stream_problem(program: Program, pieces: Sequence[str], exchanges: Sequence[Exchange]) -> str:
    if not any(exchange.is_stream for exchange in exchanges):
        return "requested no stream"
    return "the stream came in one piece" if len(pieces) < 2 and not program.prints_whole_reply else ""


def _find_host_problem(program: Program, contacted_hosts: Sequence[str]) -> str:
    unknown = sorted(set(contacted_hosts) - set(program.allowed_hosts))
    return f"tried to contact {', '.join(unknown)}" if unknown else ""


def _tail(text: str) -> str:
    return text.strip()[-_MAX_SHOWN_CHARS:]


async def run_program(program: Program, run: ClientRun, recorder: TrafficRecorder) -> ProgramResult:
    """Run a program to its end.

    Raises:
        TimeoutError: If the program runs too long.
    """
    process = await asyncio.create_subprocess_exec(
        *program.argv,
        env=_build_environment(run, recorder.proxy_url) | program.env,
        cwd=run.directory,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            stdout, stderr = await process.communicate()
    finally:
        await asyncio.to_thread(_kill_all, process.pid, run.directory)
        await process.wait()
    return ProgramResult(
        process.returncode or 0,
        stdout.decode(errors="replace"),
        stderr.decode(errors="replace"),
        tuple(recorder.exchanges),
        tuple(recorder.contacted_hosts),
    )


def _kill_all(process_group: int, home_dir: Path) -> None:
    """Kill the process group of a program, and the processes that left it: those have the same HOME."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process_group, signal.SIGKILL)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if process.environ().get("HOME") == str(home_dir):
                _kill(process.pid)


def _kill(pid: int) -> None:
    """Kill a process and wait until it has exited, whichever process reaps it."""
    handle = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        select.select([handle], [], [], 10)
    finally:
        os.close(handle)


def _build_environment(run: ClientRun, proxy_url: str) -> dict[str, str]:
    """Return an environment without settings of this machine, with an own HOME and a proxy that rejects everything."""
    proxies = {f"{kind}_PROXY": proxy_url for kind in ("HTTP", "HTTPS", "ALL")} | {"NO_PROXY": _LOCAL_HOSTS}
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(run.directory),
        "TMPDIR": str(run.directory),
        "LANG": "C.UTF-8",
        **proxies,
        **{name.lower(): value for name, value in proxies.items()},
        "NODE_USE_ENV_PROXY": "1",
        "DO_NOT_TRACK": "1",
        "GATEWAY_URL": run.url,
        "GATEWAY_KEY": API_KEY,
        "GATEWAY_MODEL": MODEL,
    }
