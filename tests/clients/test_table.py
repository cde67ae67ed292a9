"""Tests of the table of clients and of its markers in a file."""

from pathlib import Path

import pytest

from tests.clients.client_list import CLIENTS
from tests.clients.installs import CLIENTS_DIR
from tests.clients.scenario import ScenarioResult
from tests.clients.table import render_table, write_table

ROW = (
    CLIENTS[0],
    "1.2.3",
    {"chat": ScenarioResult(""), "stream": ScenarioResult("it broke"), "tools": ScenarioResult("")},
)


def test_row_has_a_label_for_each_scenario() -> None:
    *_, row = render_table([ROW]).splitlines()

    assert row == "| openai (Python) | 1.2.3 | chat | ok | FAILED | ok |"


def test_table_is_written_between_its_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- clients: written by `make clients` -->\nold\n<!-- end of clients -->\nafter\n")

    write_table(page, "new")

    assert page.read_text() == (
        "before\n<!-- clients: written by `make clients` -->\nnew\n<!-- end of clients -->\nafter\n"
    )


def test_page_without_the_markers_stays_unchanged(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing here")

    with pytest.raises(ValueError, match="markers"):
        write_table(page, "new")

    assert page.read_text() == "nothing here"


def test_every_row_has_its_own_name() -> None:
    assert len({client.id for client in CLIENTS}) == len(CLIENTS)


def test_clients_page_explains_the_setup_of_each_client() -> None:
    page = (CLIENTS_DIR.parent.parent / "docs" / "clients.md").read_text()

    assert [client.id for client in CLIENTS if client.package not in page and client.name not in page] == []
