"""In what a program runs, and what becomes of it where there is no box."""

from pathlib import Path

import pytest

from claude_gateway.mcp_servers.connection import Unreachable
from claude_gateway.mcp_servers.housing import Housing
from claude_gateway.mcp_servers.program_box import ProgramBox
from claude_gateway.mcp_servers.server import Program

PROGRAM = Program(("search", "--all"), {"SEARCH_TOKEN": "secret"})
BOX = ProgramBox(None, largest_process=2**30, readable=("/srv/search",), writable=("/srv/search/data",))


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


async def test_where_the_box_is_off_a_program_is_started_as_it_is(tmp_path: Path) -> None:
    line, variables = await Housing(tmp_path).start(PROGRAM, tmp_path)

    assert line == PROGRAM.line
    assert variables["HOME"] == str(tmp_path)
    assert variables["SEARCH_TOKEN"] == "secret"


@pytest.mark.usefixtures("nothing_installed")
async def test_where_no_box_can_be_made_no_program_is_started(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"in a box only.*bwrap"):
        await Housing(tmp_path, BOX).start(PROGRAM, tmp_path)


@pytest.mark.usefixtures("nothing_installed")
async def test_unless_the_operator_would_have_it_all_the_same(tmp_path: Path) -> None:
    line, _ = await Housing(tmp_path, BOX, must_box=False).start(PROGRAM, tmp_path)

    assert line == PROGRAM.line
