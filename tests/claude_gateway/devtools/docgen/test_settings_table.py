"""The settings of a document are those of the source."""

from pathlib import Path

import pytest

from claude_gateway.config import Settings
from claude_gateway.devtools.docgen.settings_table import SETTINGS_SECTION, render_settings_table

SECTION = "<!-- settings: written by `make tables` -->\n<!-- end of settings -->"
DOCS = Path(__file__).parents[4] / "docs"


def document(tmp_path: Path, middle: str = SECTION) -> Path:
    path = tmp_path / "README.md"
    path.write_text(f"# Before\n\n{middle}\n\nAfter.\n")
    return path


def test_every_setting_has_one_row_with_a_description() -> None:
    rows = [row.strip("|").split("|") for row in render_settings_table().splitlines()[2:]]

    assert [name.strip(" `") for name, _, _ in rows] == [name.upper() for name in Settings.model_fields]
    assert all(description.strip() not in ("", "None") for _, _, description in rows)


@pytest.mark.parametrize(
    "row",
    [
        "| `PORT` | `8000` | ",
        "| `API_KEY` |  | ",
        "| `CLAUDE_AUTH_METHOD` | `cli` | ",
        "| `VERBOSE` | `false` | ",
        "| `QUEUE_TIMEOUT_SECONDS` | `60` | ",
        "| `STATE_DIR` |  | ",
    ],
)
def test_shows_default_as_an_operator_would_write_it(row: str) -> None:
    assert row in render_settings_table()


def test_written_section_is_up_to_date_and_the_rest_unchanged(tmp_path: Path) -> None:
    path = document(tmp_path)

    assert SETTINGS_SECTION.check(path) == 1
    assert SETTINGS_SECTION.write(path) == 0
    assert SETTINGS_SECTION.check(path) == 0
    assert path.read_text().startswith("# Before\n\n<!-- settings")
    assert path.read_text().endswith("<!-- end of settings -->\n\nAfter.\n")
    assert render_settings_table() in path.read_text()


def test_detects_and_replaces_an_outdated_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = document(tmp_path)
    SETTINGS_SECTION.write(path)
    path.write_text(path.read_text().replace("`8000`", "`9000`"))

    assert SETTINGS_SECTION.check(path) == 1
    assert "make tables" in capsys.readouterr().err
    SETTINGS_SECTION.write(path)
    assert "`9000`" not in path.read_text()


@pytest.mark.parametrize("middle", ["", SECTION.splitlines()[0], SECTION.splitlines()[1]])
def test_does_not_write_to_a_document_without_markers(tmp_path: Path, middle: str) -> None:
    path = document(tmp_path, middle)
    before = path.read_text()

    with pytest.raises(ValueError, match="markers"):
        SETTINGS_SECTION.write(path)

    assert path.read_text() == before


def test_prints_the_table_without_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert SETTINGS_SECTION.write(None) == 0
    assert capsys.readouterr().out == render_settings_table() + "\n"


@pytest.mark.parametrize("page", ["configuration.md", "configuration.ar.md"])
def test_the_page_holds_the_current_table(page: str) -> None:
    assert SETTINGS_SECTION.check(DOCS / page) == 0
