"""What makes a cell red: everything but the right answer, got in the right way."""

import asyncio
import re
from pathlib import Path

import pytest

from tests.clients.cell import Cell, Run, run_cell, verdict
from tests.clients.installs import Installs
from tests.clients.visit import Client, Program, Question, Visit
from tests.clients.witness import Exchange, Witness

PROGRAM = Program(("true",), Question("say it", "hello there"), strays=("known.example:443",))
ASKED = Exchange("POST", "/v1/messages", {"stream": True}, 200)
WHOLE = Exchange("POST", "/v1/messages", {}, 200)
REFUSED = Exchange("POST", "/v1/messages", {}, 400, "no")
RIGHT = '["hello ", "there"]'


@pytest.mark.parametrize("exchange", [ASKED, Exchange("POST", "/v1/models/m:streamGenerateContent?alt=sse", {}, 200)])
def test_the_right_answer_in_pieces_is_green(exchange: Exchange) -> None:
    assert verdict(PROGRAM, "stream", Run(0, RIGHT, "", (exchange,), ("known.example:443",))) == ""


@pytest.mark.parametrize(
    ("verb", "run", "complaint"),
    [
        ("chat", Run(0, RIGHT, "", (REFUSED, WHOLE)), "answered with 400: no"),
        ("chat", Run(3, RIGHT, "why", (WHOLE,)), "status 3: .* why"),
        ("chat", Run(0, "no JSON", "why", (WHOLE,)), "cannot be read"),
        ("chat", Run(0, '["hello"]', "why", (WHOLE,)), "'hello' and not 'hello there' why"),
        ("stream", Run(0, RIGHT, "", (WHOLE,)), "asked for no stream"),
        ("stream", Run(0, '["hello there"]', "", (ASKED,)), "in one piece"),
        ("chat", Run(0, RIGHT, "", (WHOLE,), ("known.example:443", "other.example:443")), "go to other.example:443"),
        ("stream", Run(0, RIGHT, "", (ASKED,), ("other.example:443",)), "go to other.example:443"),
    ],
    ids=["refused", "status", "unreadable", "wrong answer", "no stream", "one piece", "a stray", "a stray in a stream"],
)
def test_whatever_is_not_right_is_red(verb: str, run: Run, complaint: str) -> None:
    assert re.search(complaint, verdict(PROGRAM, verb, run))


def client(script: str) -> Client:
    def program(visit: Visit) -> Program:
        return Program(("/bin/sh", "-c", script), Question("", "hello there"), {"FOLDER": str(visit.folder)})

    return Client("a shell", "chat", "own", "none", program)


async def run(script: str, installs: Installs | None = None) -> Cell:
    return await run_cell(client(script), "chat", installs or Installs({}), Witness("http://127.0.0.1:9"))


async def test_a_program_runs_in_a_home_of_its_own_and_sees_nothing_of_this_machine_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_MACHINE", "secret")

    cell = await run("""test "$HOME" = "$PWD" && ! env | grep -q secret && ls && echo '["hello there"]'""")

    assert cell.wrong == ""


async def test_what_a_program_left_behind_ends_with_it(tmp_path: Path) -> None:
    left = tmp_path / "left"

    cell = await run(f"""setsid sleep 1000 >/dev/null 2>&1 & echo $! > {left}; echo '["hello there"]'""")

    assert cell.wrong == ""
    assert await asyncio.to_thread(_command_of, left.read_text().strip()) == ""


def _command_of(pid: str) -> str:
    """Empty for what has ended, reaped or not."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


async def test_a_client_that_could_not_be_installed_is_red_and_says_why() -> None:
    cell = await run("true", Installs({"own": "no such package"}))

    assert (cell.word, cell.wrong) == ("FAILED", "not installed: no such package")


async def test_a_program_that_is_not_there_is_red() -> None:
    absent = Client("none", "chat", "own", "none", lambda _: Program(("/no/such/program",), Question("", "")))

    cell = await run_cell(absent, "chat", Installs({}), Witness())

    assert cell.wrong.startswith("cannot be started")
