"""Tests of the check: it finds the texts of each type of file and names the line of a refused word."""

from pathlib import Path

import pytest

from tests.prose.check import check_file, drop_exempt, find_files
from tests.prose.rule import Exemption

FILES = {
    "module.py": (
        '"""Plain."""\n\nVALUE = "he"  # The ledger.\n\n\ndef f():\n    """Do it.\n\n'
        '    The heir\n    of it.\n    """\n'
        '    raise ValueError("the box of the agent")\n'
    ),
    "tests/test_module.py": (
        'def test_who_reads_is_served():\n    assert "the box of the agent"\n\n\n'
        'def test_serves():\n    """The client closed\n    his connection."""\n'
    ),
    "guide.md": "# The ledger\n\n```\nthe box\n```\n\nA `box` in\nthe box. [link](roster)\n\n| x | what it is |\n",
    "guide.ar.md": "The ledger.\n",
    "strings.json": '{\n  "one": {"en": "fine", "ar": "box"},\n  "two": {"en": "the box", "ar": "x"}\n}\n',
    "Makefile": "all: # the box\n\t# his\n",
    "page.js": "// The ledger\nconst box = 1;\n",
}
EXPECTED = {
    "module.py": [(3, "ledger"), (9, "heir"), (12, "box")],
    "tests/test_module.py": [(1, "who"), (7, "his")],
    "guide.md": [(1, "ledger"), (8, "box"), (10, "what")],
    "guide.ar.md": [],
    "strings.json": [(3, "box")],
    "Makefile": [(2, "his")],
    "page.js": [(1, "ledger")],
}


@pytest.mark.parametrize("name", FILES)
def test_finds_words_with_their_lines(tmp_path: Path, name: str) -> None:
    _write_files(tmp_path)
    files = {path.relative_to(tmp_path).as_posix(): path for path in find_files(["."], tmp_path)}
    hits = check_file(files[name], tmp_path) if name in files else []
    assert [(hit.line, hit.words) for hit in hits] == EXPECTED[name]


def test_hit_names_file_line_words_and_suggestion(tmp_path: Path) -> None:
    _write_files(tmp_path)
    assert str(check_file(tmp_path / "page.js", tmp_path)[0]).startswith("page.js:1: 'ledger': write 'usage records'. ")


def test_exemption_accepts_only_its_line(tmp_path: Path) -> None:
    _write_files(tmp_path)
    hits = check_file(tmp_path / "module.py", tmp_path)
    used = Exemption("module.py", "the box of", "A quotation.")
    unused = Exemption("guide.md", "the box of", "Nothing has it.")
    remaining, accepting = drop_exempt(hits, [used, unused], tmp_path)
    assert [hit.words for hit in remaining] == ["ledger", "heir"]
    assert accepting == [used]


def _write_files(folder: Path) -> None:
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
