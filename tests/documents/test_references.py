"""Every path of the project that a document, a docstring or a comment names exists."""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documents.examples import ROOT

_PATH = re.compile(
    r"(?<![\w/.:$@{-])(?>(?:bench|claude_gateway|deploy|docs|systemd|tests|workers)(?:/[\w.-]*\w)+)(?![*{…]|/[\w*{…])"
)
_TEXT_SUFFIXES = {".md", ".sh", ".mk", ".conf", ".yml", ".toml", ".cfg", ".service", ".socket", ".example"}
# Its test names are relative to tests/; tests/test_promises.py checks them.
_RELATIVE_PATHS = {"tests/promises.md"}


def find_missing_paths() -> Iterator[str]:
    """Yield each path that a file names and that neither exists nor is a result that git ignores."""
    for name in _list_files():
        if name not in _RELATIVE_PATHS:
            for path in dict.fromkeys(_PATH.findall(read_prose(ROOT / name))):
                if not (ROOT / path).exists() and not _is_ignored(path):
                    yield f"{name}: {path}"


def read_prose(file: Path) -> str:
    """Return the docstrings and comments of a Python file, or the whole text of a document."""
    if file.suffix in _TEXT_SUFFIXES or file.name in {"Makefile", "Dockerfile"}:
        return file.read_text()
    if file.suffix != ".py":
        return ""
    source = file.read_text()
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, documented)]
    return "\n".join([*comments, *(ast.get_docstring(node) or "" for node in nodes)])


def _list_files() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in result.stdout.splitlines() if (ROOT / name).is_file()]


def _is_ignored(path: str) -> bool:
    return subprocess.run(["git", "check-ignore", "-q", f"{path}/x"], cwd=ROOT, check=False).returncode == 0


def test_every_path_that_a_file_names_exists() -> None:
    assert list(find_missing_paths()) == []


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("see docs/guide.md.", ["docs/guide.md"]),
        ("the folder `workers/cli`", ["workers/cli"]),
        ("https://example.com/docs/guide.md and /usr/systemd/x", []),
        ("any of tests/clients/locks/*.in or bench/{a,b}.py", []),
    ],
)
def test_finds_paths_of_the_project_in_a_text(text: str, paths: list[str]) -> None:
    assert _PATH.findall(text) == paths
