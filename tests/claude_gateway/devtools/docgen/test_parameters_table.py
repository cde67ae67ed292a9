"""The tables of parameters in the documents are those of the source."""

from pathlib import Path

import pytest

from claude_gateway.cli.main import main
from claude_gateway.devtools.docgen.parameters_table import PARAMETERS_SECTION, render_parameter_tables
from claude_gateway.dialects.anthropic import parameters as anthropic
from claude_gateway.dialects.gemini import parameters as gemini
from claude_gateway.dialects.openai_chat import parameters as openai_chat
from claude_gateway.dialects.openai_responses import parameters as openai_responses

API_DOCS = Path(__file__).parents[4] / "docs" / "api"
PAGES = pytest.mark.parametrize("page", ["parameters.md", "parameters.ar.md"])


def test_every_parameter_of_every_dialect_has_one_row() -> None:
    rows = [line for line in render_parameter_tables().splitlines() if line.startswith("| `")]

    names = [row.split("`")[1] for row in rows]
    our_names = [*openai_chat.PARAMETERS, *openai_responses.PARAMETERS, *anthropic.PARAMETERS, *gemini.PARAMETERS]
    assert names[: len(our_names)] == our_names
    assert set(gemini.GENERATION_CONFIG) <= set(names)
    assert all(row.count("|") == 4 for row in rows)


@PAGES
@pytest.mark.promise("parameters.documented")
def test_document_contains_the_current_tables(page: str) -> None:
    assert PARAMETERS_SECTION.check(API_DOCS / page) == 0


@PAGES
def test_command_checks_and_prints_the_tables(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parameters", "--check", str(API_DOCS / page)]) == 0
    assert main(["parameters"]) == 0
    assert capsys.readouterr().out == render_parameter_tables() + "\n"
