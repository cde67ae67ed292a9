"""The tables of parameters in the documents are those of the source."""

from pathlib import Path

import pytest

from claude_gateway.cli import main
from claude_gateway.dialects.anthropic import parameters as anthropic
from claude_gateway.dialects.gemini import parameters as gemini
from claude_gateway.dialects.openai_chat import parameters as openai_chat
from claude_gateway.dialects.openai_responses import parameters as openai_responses
from claude_gateway.documents.parameters_table import PARAMETERS, tables

DOCUMENT = Path(__file__).parents[3] / "docs" / "parameters.md"


def test_every_parameter_of_every_dialect_has_one_row() -> None:
    rows = [line for line in tables().splitlines() if line.startswith("| `")]

    names = [row.split("`")[1] for row in rows]
    ours = [*openai_chat.PARAMETERS, *openai_responses.PARAMETERS, *anthropic.PARAMETERS, *gemini.PARAMETERS]
    assert names[: len(ours)] == ours
    assert set(gemini.GENERATION_CONFIG) <= set(names)
    assert all(row.count("|") == 4 for row in rows)


@pytest.mark.promise("parameters.documented")
def test_the_document_holds_the_tables_of_today() -> None:
    assert PARAMETERS.check(DOCUMENT) == 0


def test_the_command_line_checks_and_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parameters", "--check", str(DOCUMENT)]) == 0
    assert main(["parameters"]) == 0
    assert capsys.readouterr().out == tables() + "\n"
