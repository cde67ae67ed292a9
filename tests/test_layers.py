"""The import rules of the modules. They are functions over names, so that tests can show that each rule fails."""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.private_names import find_foreign_private_names, find_in_tree

ROOT = Path(__file__).parent.parent

OWN_PACKAGES = {"claude_gateway", "workers"}
# A module with this sentence in its docstring uses no file, network or clock.
NO_IO_MARKER = "No I/O."
Imports = Mapping[str, frozenset[str]]

# Third-party library: the modules that may import it. A name stands for the module and for all modules below it.
ALLOWED_IMPORTERS = {
    "aiodns": ("claude_gateway.net.name_resolver",),
    "aiohttp": (
        "claude_gateway.app",
        "claude_gateway.devtools.fake_anthropic.server",
        "claude_gateway.doctor.network",
        "claude_gateway.net.fetcher",
        "claude_gateway.web",
    ),
    "aiohttp_sse": ("claude_gateway.web.streaming.sse",),
    "aiolimiter": ("claude_gateway.auth.rate_limit",),
    "aiosqlite": ("claude_gateway.storage.database", "claude_gateway.storage.readers"),
    "anyio": ("claude_gateway.mcp_servers.stdio_transport",),
    "dotenv": ("claude_gateway.config.loading",),
    "httpx2": ("claude_gateway.mcp_servers.http_transport",),
    "jsonschema": ("claude_gateway.devtools.fake_anthropic.validation", "claude_gateway.structured_output.validation"),
    "mcp": ("claude_gateway.mcp_servers.client", "claude_gateway.mcp_servers.stdio_transport"),
    "mcp_types": ("claude_gateway.mcp_servers.client", "claude_gateway.mcp_servers.stdio_transport"),
    "multidict": ("claude_gateway.auth",),
    "openai": ("claude_gateway.devtools.demo",),
    "opentelemetry": ("claude_gateway.observability.otel",),
    "orjson": ("claude_gateway", "workers"),
    "psutil": ("claude_gateway.doctor.host", "workers.host.memory_state", "workers.host.memory_usage"),
    "prometheus_client": ("claude_gateway.observability.metrics",),
    "pydantic": ("claude_gateway",),
    "pydantic_core": (
        "claude_gateway.devtools.docgen.settings_table",
        "claude_gateway.dialects.common.parameters.numbers",
        "claude_gateway.openapi.document.components",
        "claude_gateway.structured_output.validation",
    ),
    "pydantic_settings": ("claude_gateway.config",),
    "referencing": ("claude_gateway.structured_output.validation",),
    "rich": ("claude_gateway.cli.output",),
    "uvloop": ("claude_gateway.cli.main",),
}
# Modules that a dialect may import beside its own package.
DIALECT_MAY_IMPORT = (
    *("base64", "binascii", "collections", "dataclasses", "enum", "functools", "itertools", "json", "math", "re"),
    *("string", "types", "typing", "orjson", "pydantic"),
    *(
        "claude_gateway.core.errors",
        "claude_gateway.core.json_text",
        "claude_gateway.dialects.common",
        "claude_gateway.structured_output.schema_limits",
    ),
    *("workers.cli.upstream_errors", "workers.core", "workers.params"),
)
IO_MODULES = (
    *("aiohttp", "aiohttp_sse", "asyncio", "datetime", "fcntl", "http", "logging", "os", "psutil", "random"),
    *(
        "select",
        "selectors",
        "shutil",
        "signal",
        "socket",
        "sqlite3",
        "ssl",
        "subprocess",
        "tempfile",
        "threading",
        "time",
    ),
    *("urllib.request", "uvloop"),
)
# aiohttp has no API for the error that the rest of a body is not valid HTTP: it only puts it into this list.
PRIVATE_NAMES_OF_OTHERS = ["claude_gateway/web/server/refusing_handler.py: self._messages"]
# Commands and test tools. The product imports none of them.
DEVTOOLS = "claude_gateway.devtools"
MAY_IMPORT_DEVTOOLS = (DEVTOOLS, "claude_gateway.cli", "tests", "bench")


def find_violations(imports: Imports, without_io: Iterable[str] = (), folders: Iterable[str] = ()) -> list[str]:
    """Return every broken rule as a sentence.

    Args:
        imports: The imports of each module.
        without_io: The modules whose docstrings say that they do no I/O.
        folders: The packages among the modules; both a folder and its `__init__.py` have this name.
    """
    return sorted(
        [
            *_find_forbidden_imports(imports),
            *_find_io_in_modules_without_io(imports, set(without_io)),
            *_find_library_violations(imports),
            *(f"cycle of modules: {' -> '.join(cycle)}" for cycle in _find_cycles(imports)),
            *(f"cycle of folders: {' -> '.join(cycle)}" for cycle in _find_cycles(_group_by_folder(imports, folders))),
        ]
    )


def _find_forbidden_imports(imports: Imports) -> Iterator[str]:
    for module, names in imports.items():
        if _is_in(module, ["workers"]) and _is_any_in(names, ["claude_gateway"]):
            yield f"{module} imports claude_gateway"
        imports_engine = _is_any_in(names, ["workers.engine", "workers.pool"])
        if imports_engine and _is_any_in(names, ["claude_gateway.web"]) and module != "claude_gateway.app":
            yield f"{module} imports both the engine and the web layer"
        if _is_any_in(names, [DEVTOOLS]) and not _is_in(module, MAY_IMPORT_DEVTOOLS):
            yield f"{module} imports the development tools"


def _find_io_in_modules_without_io(imports: Imports, without_io: set[str]) -> Iterator[str]:
    for module, names in imports.items():
        if _is_in(module, ["claude_gateway.dialects"]) and not _is_in(module, ["claude_gateway.dialects.common"]):
            own_package = ".".join(module.split(".")[:3])
            for name in names:
                # `from a.b import c` counts as `a.b` and as `a.b.c`, so parents of allowed modules are allowed, too.
                allowed = [*DIALECT_MAY_IMPORT, own_package]
                if not _is_in(name, allowed) and not any(prefix.startswith(f"{name}.") for prefix in allowed):
                    yield f"{module} imports {name}, which a dialect may not"
        if module in without_io:
            for name in names:
                if _is_in(name, IO_MODULES):
                    yield f"{module} says that it does no I/O, and imports {name}"


def _find_library_violations(imports: Imports) -> Iterator[str]:
    for module, names in imports.items():
        for library in {name.partition(".")[0] for name in names} - OWN_PACKAGES - sys.stdlib_module_names:
            if not _is_in(module, ALLOWED_IMPORTERS.get(library, ())):
                yield f"{module} may not import {library}"


def _group_by_folder(imports: Imports, folders: Iterable[str]) -> Imports:
    packages = set(folders)

    def folder_of(module: str) -> str:
        return module if module in packages else module.rpartition(".")[0]

    grouped: dict[str, set[str]] = defaultdict(set)
    for module, names in imports.items():
        imported_folders = {folder_of(name) for name in names if name in imports and name not in packages}
        grouped[folder_of(module)] |= imported_folders - {folder_of(module)}
    return {folder: frozenset(names) for folder, names in grouped.items()}


def _find_cycles(graph: Imports) -> Iterator[list[str]]:
    """Yield each cycle once, from its alphabetically first member."""
    for start in graph:
        paths = [[start]]
        visited: set[str] = set()
        while paths:
            path = paths.pop()
            for name in graph[path[-1]] & graph.keys():
                if name == start:
                    if start == min(path):
                        yield [*path, start]
                elif name not in visited:
                    visited.add(name)
                    paths.append([*path, name])


def _is_in(name: str, prefixes: Iterable[str]) -> bool:
    """Return whether the name is one of the prefixes or a module below one of them."""
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def _is_any_in(names: Iterable[str], prefixes: Iterable[str]) -> bool:
    prefixes = list(prefixes)
    return any(_is_in(name, prefixes) for name in names)


def read_modules() -> tuple[dict[str, frozenset[str]], set[str], set[str]]:
    """Return the imports of each module, the modules whose docstrings say that they do no I/O, and the packages."""
    imports, without_io, packages = {}, set(), set()
    for package in OWN_PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            tree = ast.parse(path.read_text())
            imports[module] = frozenset(_read_imports(tree))
            if NO_IO_MARKER in (ast.get_docstring(tree) or ""):
                without_io.add(module)
            if path.name == "__init__.py":
                packages.add(module)
    return imports, without_io, packages


def _read_imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield module
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.ImportFrom():
                raise AssertionError("imports are absolute here, so that this test can read them")


def find_sources() -> list[Path]:
    """Return the modules of the product and of the measurements."""
    return sorted(path for name in (*OWN_PACKAGES, "bench") for path in (ROOT / name).rglob("*.py"))


@pytest.mark.promise("source.layers")
def test_every_import_follows_the_rules() -> None:
    assert find_violations(*read_modules()) == []


def test_no_folder_has_more_than_twenty_modules() -> None:
    counts = {
        folder: len(list(folder.glob("*.py")))
        for name in (*OWN_PACKAGES, "bench")
        for folder in (ROOT / name, *(path for path in (ROOT / name).rglob("*") if path.is_dir()))
    }

    assert {str(folder.relative_to(ROOT)): count for folder, count in counts.items() if count > 20} == {}


def find_shared_class_names(sources: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the names of public classes that more than one module defines, with these modules."""
    modules: dict[str, list[str]] = defaultdict(list)
    for module, source in sources.items():
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                modules[node.name].append(module)
    return {name: found for name, found in modules.items() if len(found) > 1}


def test_no_two_public_classes_have_one_name() -> None:
    assert find_shared_class_names({str(path.relative_to(ROOT)): path.read_text() for path in find_sources()}) == {}


def test_finds_two_public_classes_of_one_name() -> None:
    sources = {"a": "class Conversation: ...\nclass _Private: ...", "b": "class _Private: ..."}

    assert find_shared_class_names(sources) == {}
    assert find_shared_class_names(sources | {"c": "class Conversation: ..."}) == {"Conversation": ["a", "c"]}


def test_no_module_uses_private_attributes_of_another() -> None:
    assert find_in_tree(ROOT, (*OWN_PACKAGES, "bench")) == PRIVATE_NAMES_OF_OTHERS


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("pool.worker._process", [(1, "pool.worker._process")]),
        ("class A(B):\n    def f(self): return self._of_b", [(2, "self._of_b")]),
        ("class A:\n    def f(self): self._own = 1\nclass B(A):\n    def g(self): return self._own", []),
        ("class A:\n    _own: int\ndef f(a): return a._own", []),
        ("class A:\n    _own: int\nclass B:\n    def f(self): return self._own", [(4, "self._own")]),
        ("import os\nos._exit(1)\nmodule.__name__", []),
    ],
)
def test_finds_private_attributes_of_another_module(source: str, expected: list[tuple[int, str]]) -> None:
    assert find_foreign_private_names(source) == expected


def test_class_may_use_private_attributes_of_a_base_class_of_the_project() -> None:
    base = "class Base:\n    def __init__(self): self._held = 1"
    derived = "class A(Base):\n    def f(self): return self._held"

    assert find_foreign_private_names(derived, [base]) == []
    assert find_foreign_private_names(derived) == [(2, "self._held")]


def test_reads_the_imports_and_markers_of_the_sources() -> None:
    imports, without_io, packages = read_modules()

    assert {"workers.engine", "claude_gateway.web.route_lookup"} <= imports["claude_gateway.app"]
    assert "openai" in imports["claude_gateway.devtools.demo"]  # under `if TYPE_CHECKING` and inside a function
    assert "workers.core.job" in without_io
    assert "claude_gateway.web.streaming.sse" not in without_io
    assert "workers.core" in packages


def test_every_module_that_may_import_a_library_exists() -> None:
    imports, _, _ = read_modules()

    assert {module for modules in ALLOWED_IMPORTERS.values() for module in modules} <= imports.keys()


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("workers.pool.chat_pool", "claude_gateway.core.errors"),
        ("claude_gateway.dialects.gemini.parse", "aiohttp"),
        ("claude_gateway.dialects.gemini.parse", "time"),
        ("claude_gateway.dialects.gemini.parse", "asyncio"),
        ("claude_gateway.dialects.gemini.parse", "claude_gateway.jobs.service"),
        ("claude_gateway.dialects.gemini.parse", "claude_gateway.dialects.openai_chat.schema"),
        ("claude_gateway.web.endpoints.chat", "uvloop"),
        ("claude_gateway.web.endpoints.chat", "aiohttp_sse"),
        ("claude_gateway.web.endpoints.chat", "an_unknown_library"),
        ("claude_gateway.jobs.service", "claude_gateway.devtools.fake_anthropic.server"),
    ],
)
def test_finds_a_forbidden_import(module: str, imported: str) -> None:
    (violation, *_) = find_violations({module: frozenset({imported})})

    assert module in violation


@pytest.mark.parametrize("imported", ["time", "aiohttp", "asyncio", "os"])
def test_finds_io_in_a_module_that_says_that_it_does_none(imported: str) -> None:
    imports = {"claude_gateway.web.pure": frozenset({imported})}

    (violation, *_) = find_violations(imports, without_io=imports)

    assert violation == f"claude_gateway.web.pure says that it does no I/O, and imports {imported}"
    assert find_violations(imports) == []


def test_only_the_composition_root_may_import_both_engine_and_web() -> None:
    both = frozenset({"workers.engine", "claude_gateway.web.routes"})

    assert find_violations({"claude_gateway.app": both}) == []
    assert find_violations({"claude_gateway.jobs.service": both}) == [
        "claude_gateway.jobs.service imports both the engine and the web layer"
    ]


def test_finds_a_cycle_of_modules_once() -> None:
    cycle = {
        "workers.a": frozenset({"workers.b"}),
        "workers.b": frozenset({"workers.c"}),
        "workers.c": frozenset({"workers.a"}),
        "workers.d": frozenset({"workers.a"}),
    }

    assert find_violations(cycle) == ["cycle of modules: workers.a -> workers.b -> workers.c -> workers.a"]


def test_finds_a_cycle_of_folders_without_a_cycle_of_modules() -> None:
    imports = {
        "workers.a": frozenset[str](),
        "workers.b": frozenset[str](),
        "workers.a.one": frozenset({"workers.b.one"}),
        "workers.b.one": frozenset[str](),
        "workers.b.two": frozenset({"workers.a.two"}),
        "workers.a.two": frozenset[str](),
    }

    assert find_violations(imports, folders=["workers.a", "workers.b"]) == [
        "cycle of folders: workers.a -> workers.b -> workers.a"
    ]


def test_dialect_may_import_its_own_modules_and_the_shared_modules() -> None:
    names = frozenset({"claude_gateway.dialects.gemini.schema", "workers.core.job", "workers.core.job.Text", "orjson"})

    assert find_violations({"claude_gateway.dialects.gemini.parse": names}) == []
