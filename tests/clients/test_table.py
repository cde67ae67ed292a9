"""The table of clients, and its place in a file."""

from pathlib import Path

import pytest

from tests.clients.cell import Cell
from tests.clients.installs import HERE
from tests.clients.roster import CLIENTS
from tests.clients.table import table, write

ROW = (CLIENTS[0], "1.2.3", {"chat": Cell(""), "stream": Cell("it broke"), "tools": Cell("")})


def test_a_row_has_a_word_for_each_verb() -> None:
    *_, row = table([ROW]).splitlines()

    assert row == "| openai (Python) | 1.2.3 | chat | ok | FAILED | ok |"


def test_the_table_is_written_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- clients: written by `make clients` -->\nold\n<!-- end of clients -->\nafter\n")

    write(page, "new")

    assert page.read_text() == (
        "before\n<!-- clients: written by `make clients` -->\nnew\n<!-- end of clients -->\nafter\n"
    )


def test_a_page_without_the_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing here")

    with pytest.raises(ValueError, match="marks"):
        write(page, "new")

    assert page.read_text() == "nothing here"


def test_no_two_rows_are_of_one_name() -> None:
    assert len({client.id for client in CLIENTS}) == len(CLIENTS)


def test_the_page_for_people_tells_how_to_set_each_client_up() -> None:
    page = (HERE.parent.parent / "docs" / "clients.md").read_text()

    assert [client.id for client in CLIENTS if client.package not in page and client.name not in page] == []
