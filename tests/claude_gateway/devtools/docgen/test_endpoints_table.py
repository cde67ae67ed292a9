"""The tables of endpoints in the documents are those of the OpenAPI document."""

from pathlib import Path

import pytest

from claude_gateway.cli.main import main
from claude_gateway.devtools.docgen.endpoints_table import ENDPOINTS_SECTION, render_endpoint_tables
from claude_gateway.web.route_lookup import DOCUMENTED_OPERATIONS as OPERATIONS

DOCS = Path(__file__).parents[4] / "docs"


def test_every_operation_has_one_row() -> None:
    rows = [line for line in render_endpoint_tables().splitlines() if line.startswith("| `")]

    expected = [f"| `{operation.method.upper()}` | `{operation.path}` |" for operation in OPERATIONS]
    assert len(rows) == len(expected)
    assert all(any(row.startswith(start) for row in rows) for start in expected)


@pytest.mark.parametrize("page", ["api/endpoints.md", "api/endpoints.ar.md"])
def test_the_page_holds_the_current_tables(page: str) -> None:
    assert ENDPOINTS_SECTION.check(DOCS / page) == 0


def test_the_command_line_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["endpoints"]) == 0
    assert capsys.readouterr().out == render_endpoint_tables() + "\n"
