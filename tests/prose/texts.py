"""Find the text that people read in a file: docstrings, comments, messages, names of tests, documents."""

import ast
import io
import json
import re
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

MIN_STRING_WORDS = 4


class Kind(Enum):
    """The use of a text."""

    DOCSTRING = auto()
    COMMENT = auto()
    STRING = auto()
    TEST_NAME = auto()
    DOCUMENT = auto()


@dataclass(frozen=True)
class ProseText:
    """One connected text.

    Attributes:
        line: The line of the file on which the text begins.
        content: The text. Its line breaks are those of the file; code in it is replaced by `#` characters.
    """

    line: int
    content: str
    kind: Kind


def read_texts(path: Path) -> list[ProseText]:
    """Return every text of a file, or no text if the type of the file is unknown."""
    reader = _find_reader(path)
    return list(reader(path.read_text())) if reader else []


def is_readable(path: Path) -> bool:
    """Return whether `read_texts` knows this type of file."""
    return _find_reader(path) is not None


def read_python(source: str) -> Iterator[ProseText]:
    """Yield the docstrings, comments and sentences in strings of a Python module."""
    tree = ast.parse(source)
    docstrings = {id(node): node for node in _iterate_docstrings(tree)}
    for node in ast.walk(tree):
        if id(node) in docstrings:
            yield ProseText(node.lineno, _mask_code(_get_source(source, node)), Kind.DOCSTRING)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _is_sentence(node.value):
            yield ProseText(node.lineno, _mask_code(node.value.replace("\n", " ")), Kind.STRING)
    yield from _group_lines(_iterate_comments(source), Kind.COMMENT)


def read_test_module(source: str) -> Iterator[ProseText]:
    """Yield the docstrings and comments of a Python test module, and the names of its tests as words."""
    yield from (text for text in read_python(source) if text.kind is not Kind.STRING)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield ProseText(node.lineno, node.name.removeprefix("test_").replace("_", " "), Kind.TEST_NAME)


def read_markdown(source: str) -> Iterator[ProseText]:
    """Yield the paragraphs, list items and cells of a Markdown document."""
    unfenced = re.sub(r"^( *)(```|~~~).*?^ *\2[^\n]*$", _blank, source, flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"<[^>]*>|(?<=\])\([^)\n]*\)|https?://\S+", _blank, unfenced)
    lines: list[tuple[int, str]] = []
    for number, line in enumerate(prose.split("\n"), 1):
        begins_block = re.match(r"\s*([-*+] |\d+\. |#|\||>|$)", line)
        if begins_block and lines:
            yield from _join(lines, Kind.DOCUMENT)
            lines = []
        lines.append((number, re.sub(r"^\s*([-*+] |\d+\. |#+ |> )", _blank, line).replace("|", ".")))
    yield from _join(lines, Kind.DOCUMENT)


def read_page_strings(source: str) -> Iterator[ProseText]:
    """Yield the English texts of the pages' `strings.json`."""
    lines = source.split("\n")
    for key, languages in json.loads(source).items():
        number = next((number for number, line in enumerate(lines, 1) if f'"{key}":' in line), 1)
        yield ProseText(number, _mask_code(languages["en"]), Kind.DOCUMENT)


def read_comments(source: str, marker: str = "#") -> Iterator[ProseText]:
    """Yield the comments that have a line of their own, of any language with comments up to the end of the line."""
    commented = (
        (number, stripped.lstrip(marker + "!"))
        for number, line in enumerate(source.split("\n"), 1)
        if (stripped := line.strip()).startswith(marker)
    )
    yield from _group_lines(commented, Kind.COMMENT)


def _find_reader(path: Path) -> Callable[[str], Iterator[ProseText]] | None:
    if path.suffix == ".py":
        return read_test_module if "tests" in path.parts else read_python
    if path.suffix == ".md":
        return None if path.name.endswith(".ar.md") else read_markdown
    if path.name == "strings.json":
        return read_page_strings
    if path.suffix == ".js":
        return lambda source: read_comments(source, "//")
    if path.suffix in {".toml", ".cfg", ".mk", ".sh", ".yml", ".conf", ".service", ".socket", ".example", ".env"}:
        return read_comments
    return read_comments if path.name in {"Makefile", "Dockerfile"} else None


def _iterate_docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        # Every statement that is only a string: also the text behind a field.
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value


def _get_source(source: str, node: ast.Constant) -> str:
    segment = ast.get_source_segment(source, node) or ""
    return segment.lstrip("rRuU").strip("\"'")


def _iterate_comments(source: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not re.match(r"# (type|noqa|pragma|mypy)\b", token.string):
            yield token.start[0], token.string.lstrip("#")


def _group_lines(lines: Iterator[tuple[int, str]], kind: Kind) -> Iterator[ProseText]:
    group: list[tuple[int, str]] = []
    for number, line in lines:
        if group and number != group[-1][0] + 1:
            yield from _join(group, kind)
            group = []
        group.append((number, line))
    yield from _join(group, kind)


def _join(lines: list[tuple[int, str]], kind: Kind) -> Iterator[ProseText]:
    content = "\n".join(line for _, line in lines)
    if content.strip():
        yield ProseText(lines[0][0], _mask_code(content), kind)


def _mask_code(text: str) -> str:
    """Replace code between backticks, which is not prose, by as many `#` characters."""
    return re.sub(r"``[^`]*``|`[^`]*`", lambda code: re.sub(r"[^\n]", "#", code.group()), text)


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match.group())


def _is_sentence(value: str) -> bool:
    words = re.findall(r"[A-Za-z][a-z']*", value)
    sql = r"^\s*(SELECT|INSERT|UPDATE|DELETE|CREATE|PRAGMA|ALTER|DROP|WITH|FROM|WHERE)\b"
    is_sql = re.search(sql, value, re.MULTILINE)
    return len(words) >= MIN_STRING_WORDS and " " in value and not is_sql
