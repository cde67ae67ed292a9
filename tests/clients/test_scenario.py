"""A scenario fails unless the client receives the expected reply in the expected way."""

import asyncio
import re
from pathlib import Path

import pytest

from tests.clients.client import Client, ClientRun, Program, Question
from tests.clients.installs import GATEWAY_ENVIRONMENT, Installs
from tests.clients.scenario import ProgramResult, ScenarioResult, find_problem, run_scenario
from tests.clients.traffic_recorder import Exchange, TrafficRecorder

PROGRAM = Program(("true",), Question("say it", "hello there"), allowed_hosts=("known.example:443",))
STREAMED = Exchange("POST", "/v1/messages", {"stream": True}, 200)
WHOLE = Exchange("POST", "/v1/messages", {}, 200)
REJECTED = Exchange("POST", "/v1/messages", {}, 400, "no")
EXPECTED_OUTPUT = '["hello ", "there"]'


@pytest.mark.parametrize(
    "exchange", [STREAMED, Exchange("POST", "/v1/models/m:streamGenerateContent?alt=sse", {}, 200)]
)
def test_expected_reply_in_pieces_passes(exchange: Exchange) -> None:
    assert (
        find_problem(PROGRAM, "stream", ProgramResult(0, EXPECTED_OUTPUT, "", (exchange,), ("known.example:443",)))
        == ""
    )


@pytest.mark.parametrize(
    ("scenario", "result", "problem"),
    [
        ("chat", ProgramResult(0, EXPECTED_OUTPUT, "", (REJECTED, WHOLE)), "rejected with 400: no"),
        ("chat", ProgramResult(3, EXPECTED_OUTPUT, "error", (WHOLE,)), "status 3: .* error"),
        ("chat", ProgramResult(0, "not JSON", "error", (WHOLE,)), "cannot be parsed"),
        ("chat", ProgramResult(0, '["hello"]', "error", (WHOLE,)), "'hello' and not 'hello there' error"),
        ("stream", ProgramResult(0, EXPECTED_OUTPUT, "", (WHOLE,)), "requested no stream"),
        ("stream", ProgramResult(0, '["hello there"]', "", (STREAMED,)), "in one piece"),
        (
            "chat",
            ProgramResult(0, EXPECTED_OUTPUT, "", (WHOLE,), ("known.example:443", "other.example:443")),
            "contact other.example:443",
        ),
        (
            "stream",
            ProgramResult(0, EXPECTED_OUTPUT, "", (STREAMED,), ("other.example:443",)),
            "contact other.example:443",
        ),
    ],
    ids=[
        *("rejected", "status", "unreadable", "wrong reply", "no stream", "one piece"),
        *("another host", "another host in a stream"),
    ],
)
def test_any_problem_of_a_run_is_found(scenario: str, result: ProgramResult, problem: str) -> None:
    assert re.search(problem, find_problem(PROGRAM, scenario, result))


def client(script: str) -> Client:
    def program(run: ClientRun) -> Program:
        return Program(("/bin/sh", "-c", script), Question("", "hello there"), {"FOLDER": str(run.directory)})

    return Client("a shell", "chat", GATEWAY_ENVIRONMENT, "none", program)


async def run(script: str, installs: Installs | None = None) -> ScenarioResult:
    return await run_scenario(client(script), "chat", installs or Installs({}), TrafficRecorder("http://127.0.0.1:9"))


async def test_program_runs_with_its_own_home_directory_and_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_MACHINE", "secret")

    result = await run("""test "$HOME" = "$PWD" && ! env | grep -q secret && ls && echo '["hello there"]'""")

    assert result.problem == ""


async def test_processes_that_a_program_leaves_behind_are_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"

    result = await run(f"""setsid sleep 1000 >/dev/null 2>&1 & echo $! > {pid_file}; echo '["hello there"]'""")

    assert result.problem == ""
    assert await asyncio.to_thread(read_command_line, pid_file.read_text().strip()) == ""


def read_command_line(pid: str) -> str:
    """Return the command line of a process, or "" if it has exited, even if no process has reaped it."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


async def test_client_that_is_not_installed_fails_with_the_reason() -> None:
    result = await run("true", Installs({GATEWAY_ENVIRONMENT: "no such package"}))

    assert (result.label, result.problem) == ("FAILED", "not installed: no such package")


async def test_missing_program_fails() -> None:
    absent = Client(
        "none", "chat", GATEWAY_ENVIRONMENT, "none", lambda _: Program(("/no/such/program",), Question("", ""))
    )

    result = await run_scenario(absent, "chat", Installs({}), TrafficRecorder())

    assert result.problem.startswith("cannot be started")
