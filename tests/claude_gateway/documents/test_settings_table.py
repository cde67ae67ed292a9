"""The settings of a document are those of the source."""

from pathlib import Path

import pytest

from claude_gateway.config import Settings
from claude_gateway.documents.settings_table import SETTINGS, table

PLACE = "<!-- settings: written by `make readme` -->\n<!-- end of settings -->"
README = Path(__file__).parents[3] / "README.md"


def document(tmp_path: Path, middle: str = PLACE) -> Path:
    path = tmp_path / "README.md"
    path.write_text(f"# Before\n\n{middle}\n\nAfter.\n")
    return path


def test_every_setting_has_one_row_with_a_description() -> None:
    rows = [row.strip("|").split("|") for row in table().splitlines()[2:]]

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
def test_a_default_stands_as_one_would_write_it(row: str) -> None:
    assert row in table()


def test_what_was_written_is_up_to_date_and_the_rest_untouched(tmp_path: Path) -> None:
    path = document(tmp_path)

    assert SETTINGS.check(path) == 1
    assert SETTINGS.write(path) == 0
    assert SETTINGS.check(path) == 0
    assert path.read_text().startswith("# Before\n\n<!-- settings")
    assert path.read_text().endswith("<!-- end of settings -->\n\nAfter.\n")
    assert table() in path.read_text()


def test_an_old_table_is_noticed_and_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = document(tmp_path)
    SETTINGS.write(path)
    path.write_text(path.read_text().replace("`8000`", "`9000`"))

    assert SETTINGS.check(path) == 1
    assert "make readme" in capsys.readouterr().err
    SETTINGS.write(path)
    assert "`9000`" not in path.read_text()


@pytest.mark.parametrize("middle", ["", PLACE.splitlines()[0], PLACE.splitlines()[1]])
def test_a_document_without_its_marks_is_not_written_over(tmp_path: Path, middle: str) -> None:
    path = document(tmp_path, middle)
    before = path.read_text()

    with pytest.raises(ValueError, match="marks"):
        SETTINGS.write(path)

    assert path.read_text() == before


def test_without_a_file_the_table_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert SETTINGS.write(None) == 0
    assert capsys.readouterr().out == table() + "\n"


@pytest.mark.skipif(not README.exists(), reason="there is no README yet")
def test_the_readme_holds_the_table_of_today() -> None:
    assert SETTINGS.check(README) == 0
