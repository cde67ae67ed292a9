"""CONTRIBUTING has a line for each folder of the tree and short recipes, and every path in it exists."""

import re
import subprocess
from collections.abc import Iterable

from tests.documents.examples import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
# Each sub-folder of these has a line.
PARENT_FOLDERS = ("claude_gateway", "workers", "tests")
RECIPES = [
    "Change an error body",
    "Add a setting",
    "Handle a new CLI event",
    "Add an endpoint",
    "Find out why a worker was replaced",
    "Move the CLI pin",
]
_ROW = re.compile(r"^\| `([^`]+)` \| (.+) \|$", re.MULTILINE)
_PATH = re.compile(
    r"`((?:claude_gateway|workers|tests|bench|deploy|docs|systemd)(?:/[\w.]+)*|[\w.]+\.(?:md|toml|lock))`"
)


def list_tracked_files() -> list[str]:
    result = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.splitlines()


def find_folders(files: Iterable[str]) -> set[str]:
    """Return the folders that need a line: the sub-folders of the parent folders, and every other top folder."""
    folders = set()
    for file in files:
        top, *rest = file.split("/")
        if top in PARENT_FOLDERS and len(rest) > 1:
            folders.add(f"{top}/{rest[0]}")
        elif rest and top not in PARENT_FOLDERS and not top.startswith("."):
            folders.add(top)
    return folders


def test_every_folder_has_one_line_and_every_line_a_folder() -> None:
    rows = [folder for folder, _ in _ROW.findall(TEXT)]

    assert len(rows) == len(set(rows))
    assert set(rows) == find_folders(list_tracked_files())


def test_every_path_exists() -> None:
    paths = _PATH.findall(TEXT)

    assert len(paths) > 60
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_recipes_are_short() -> None:
    chapter = TEXT.partition("## Recipes")[2].partition("\n## ")[0]
    recipes = dict(re.findall(r"^### ([^\n]+)\n(.*?)(?=^### |\Z)", chapter, re.DOTALL | re.MULTILINE))

    assert list(recipes) == RECIPES
    assert all(4 <= len(re.findall(r"^\d\. ", recipe, re.MULTILINE)) <= 6 for recipe in recipes.values())


def test_folders_are_found_by_their_files() -> None:
    files = ["workers/cli/frames.py", "workers/engine.py", "tests/e2e/a/b.py", "bench/parts.py", ".ci/run", "Makefile"]

    assert find_folders(files) == {"workers/cli", "tests/e2e", "bench"}
