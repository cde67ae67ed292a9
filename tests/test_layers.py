"""Which module may import which. The rules are a function over names, so that each is seen to fail."""

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

OURS = {"claude_gateway", "workers"}
Imports = Mapping[str, frozenset[str]]

# Third-party library: the modules that may import it. A name stands for the module and all below it.
HOMES = {
    "aiohttp": (
        "claude_gateway.app",
        "claude_gateway.doctor.addresses",
        "claude_gateway.web",
        "claude_gateway.demo.upstream",
    ),
    "aiodns": ("claude_gateway.name_resolver",),
    "anyio": ("claude_gateway.mcp_servers.pipes",),
    "aiohttp_sse": ("claude_gateway.web.sse",),
    "aiolimiter": ("claude_gateway.access.limits",),
    "aiosqlite": ("claude_gateway.stores.db", "claude_gateway.stores.readers"),
    "dotenv": ("claude_gateway.config.reading",),
    "httpx2": ("claude_gateway.mcp_servers.network",),
    "jsonschema": ("claude_gateway.demo.refusals", "claude_gateway.structured.schema_check"),
    "mcp": ("claude_gateway.mcp_servers.pipes", "claude_gateway.mcp_servers.session"),
    "mcp_types": ("claude_gateway.mcp_servers.pipes", "claude_gateway.mcp_servers.session"),
    "multidict": ("claude_gateway.access",),
    "openai": ("claude_gateway.demo.show",),
    "opentelemetry": ("claude_gateway.telemetry.otel",),
    "orjson": (
        "claude_gateway.demo",
        "claude_gateway.dialects",
        "claude_gateway.commands.keys",
        "claude_gateway.prompt.call_input",
        "claude_gateway.prompt.custom_tools",
        "claude_gateway.prompt.raw_input",
        "claude_gateway.mcp_servers.offered",
        "claude_gateway.prompt.thoughts",
        "claude_gateway.prompt.token_count",
        "claude_gateway.prompt.tool_pairs",
        "claude_gateway.prompt.tools",
        "claude_gateway.log.lines",
        "claude_gateway.reading.json_body",
        "claude_gateway.responses.register",
        "claude_gateway.stores",
        "claude_gateway.structured.json_output",
        "claude_gateway.structured.schema_check",
        "claude_gateway.structured.schemas",
        "claude_gateway.web",
        "workers.call_arguments",
        "workers.continuation",
        "workers.frames",
        "workers.output_schema",
        "workers.pieces",
        "workers.record",
        "workers.tuning",
        "workers.upstream_words",
        "workers.work_answer",
    ),
    "prometheus_client": ("claude_gateway.telemetry.metrics",),
    "pydantic": (
        "claude_gateway.access.wanted_key",
        "claude_gateway.cli",
        "claude_gateway.config",
        "claude_gateway.demo.show",
        "claude_gateway.dialects",
        "claude_gateway.commands.keys",
        "claude_gateway.openapi",
        "claude_gateway.mcp_servers.pipes",
        "claude_gateway.prompt.numbers",
        "claude_gateway.prompt.output_config",
        "claude_gateway.prompt.thinking",
        "claude_gateway.reading",
        "claude_gateway.web.inspection",
        "claude_gateway.web.mcp",
        "claude_gateway.web.tools",
    ),
    "pydantic_core": (
        "claude_gateway.structured.schema_check",
        "claude_gateway.documents.settings_table",
        "claude_gateway.openapi.schemas",
        "claude_gateway.prompt.numbers",
    ),
    "pydantic_settings": ("claude_gateway.config",),
    "referencing": ("claude_gateway.structured.schema_check",),
    "rich": ("claude_gateway.commands.console",),
    "uvloop": ("claude_gateway.cli",),
}
# Whatever a dialect needs beyond its own package.
DIALECT_MAY_IMPORT = (
    *("base64", "binascii", "collections", "dataclasses", "enum", "functools", "itertools", "json", "math", "re"),
    *("string", "types", "typing", "orjson", "pydantic"),
    *(
        "claude_gateway.errors",
        "claude_gateway.prompt.allowed_tools",
        "claude_gateway.prompt.blocks",
        "claude_gateway.prompt.call_input",
        "claude_gateway.prompt.conversation",
        "claude_gateway.prompt.custom_tools",
        "claude_gateway.prompt.deferred_tools",
        "claude_gateway.prompt.hosted_tools",
        "claude_gateway.prompt.in_words",
        "claude_gateway.prompt.media",
        "claude_gateway.prompt.numbers",
        "claude_gateway.prompt.output_config",
        "claude_gateway.prompt.parameters",
        "claude_gateway.prompt.raw_calls",
        "claude_gateway.prompt.raw_input",
        "claude_gateway.prompt.thinking",
        "claude_gateway.prompt.thoughts",
        "claude_gateway.prompt.too_long",
        "claude_gateway.prompt.tools",
        "claude_gateway.structured.schemas",
        "workers.call_arguments",
        "workers.errors",
        "workers.events",
        "workers.job",
        "workers.tuning",
        "workers.upstream_words",
    ),
)
PURE = (
    "claude_gateway.access.address",
    "claude_gateway.access.keys",
    "claude_gateway.access.request_pacing",
    "claude_gateway.access.seal",
    "claude_gateway.claude_code.login",
    "claude_gateway.config.misspelt",
    "claude_gateway.config.origins",
    "claude_gateway.demo.agent",
    "claude_gateway.demo.exact_json",
    "claude_gateway.demo.lies",
    "claude_gateway.demo.limits",
    "claude_gateway.demo.message",
    "claude_gateway.demo.refusals",
    "claude_gateway.demo.schema_instance",
    "claude_gateway.demo.schema_refusals",
    "claude_gateway.demo.script",
    "claude_gateway.demo.thoughts",
    "claude_gateway.demo.tokens",
    "claude_gateway.doctor.findings",
    "claude_gateway.errors",
    "claude_gateway.inspection.report",
    "claude_gateway.inspection.shown",
    "claude_gateway.inspection.told_by",
    "claude_gateway.ledger.budget",
    "claude_gateway.ledger.entry",
    "claude_gateway.ledger.usage",
    "claude_gateway.log.redacted",
    "claude_gateway.log.request_line",
    "claude_gateway.mcp_servers.bounds",
    "claude_gateway.mcp_servers.flood",
    "claude_gateway.mcp_servers.message_scan",
    "claude_gateway.mcp_servers.offered",
    "claude_gateway.mcp_servers.program_box",
    "claude_gateway.mcp_servers.rules",
    "claude_gateway.mcp_servers.server",
    "claude_gateway.models.aliases",
    "claude_gateway.models.catalogue",
    "claude_gateway.models.succession",
    "claude_gateway.openapi.document",
    "claude_gateway.openapi.failures",
    "claude_gateway.openapi.operation",
    "claude_gateway.openapi.schemas",
    "claude_gateway.own_tools.built_in",
    "claude_gateway.own_tools.stand_ins",
    "claude_gateway.prompt.allowed_tools",
    "claude_gateway.prompt.blocks",
    "claude_gateway.prompt.call_input",
    "claude_gateway.prompt.conversation",
    "claude_gateway.prompt.custom_tools",
    "claude_gateway.prompt.deferred_tools",
    "claude_gateway.prompt.first_bytes",
    "claude_gateway.prompt.hosted_tools",
    "claude_gateway.prompt.in_words",
    "claude_gateway.prompt.media",
    "claude_gateway.prompt.numbers",
    "claude_gateway.prompt.output_config",
    "claude_gateway.prompt.parameters",
    "claude_gateway.prompt.raw_calls",
    "claude_gateway.prompt.raw_input",
    "claude_gateway.prompt.remote_media",
    "claude_gateway.prompt.schema_shape",
    "claude_gateway.prompt.thinking",
    "claude_gateway.prompt.thoughts",
    "claude_gateway.prompt.token_count",
    "claude_gateway.prompt.tool_pairs",
    "claude_gateway.prompt.too_long",
    "claude_gateway.prompt.tools",
    "claude_gateway.public_addresses",
    "claude_gateway.offload.spending",
    "claude_gateway.reading.debugging",
    "claude_gateway.reading.json_body",
    "claude_gateway.reading.models",
    "claude_gateway.reading.tasks",
    "claude_gateway.reading.weight",
    "claude_gateway.sessions.replies",
    "claude_gateway.stores.daily_sums",
    "claude_gateway.stores.schema",
    "claude_gateway.stores.turns",
    "claude_gateway.structured.json_output",
    "claude_gateway.structured.schema_check",
    "claude_gateway.structured.schemas",
    "claude_gateway.web.connection_shares",
    "claude_gateway.web.page_text",
    "claude_gateway.web.rules",
    "workers.affinity",
    "workers.answer",
    "workers.bill",
    "workers.call_arguments",
    "workers.continuation",
    "workers.enclosure",
    "workers.errors",
    "workers.events",
    "workers.fair_queue",
    "workers.frames",
    "workers.job",
    "workers.job_size",
    "workers.launch",
    "workers.media_limit",
    "workers.observer",
    "workers.output_limit",
    "workers.output_schema",
    "workers.permission",
    "workers.pieces",
    "workers.prepared",
    "workers.protocol",
    "workers.record",
    "workers.roster",
    "workers.sandbox",
    "workers.settings",
    "workers.setup",
    "workers.shown",
    "workers.aliases",
    "workers.key_renamer",
    "workers.piece_repair",
    "workers.tool_schema",
    "workers.unicode_repair",
    "workers.upstream_words",
    "workers.tool_bridge",
    "workers.transcript",
    "workers.tuning",
    "workers.work_answer",
)
IMPURE = (
    *("aiohttp", "aiohttp_sse", "asyncio", "datetime", "fcntl", "http", "io", "logging", "os", "random", "select"),
    *("selectors", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time"),
    *("urllib.request", "uvloop"),
)


def violations(imports: Imports) -> list[str]:
    """Every broken rule in a mapping from modules to what they import, as sentences."""
    return sorted(
        [
            *_broken_arrows(imports),
            *_impure_modules(imports),
            *_homeless_libraries(imports),
            *(f"cycle: {' -> '.join(cycle)}" for cycle in _cycles(imports)),
        ]
    )


def _broken_arrows(imports: Imports) -> Iterator[str]:
    for module, names in imports.items():
        if _in(module, ["workers"]) and _any_in(names, ["claude_gateway"]):
            yield f"{module} imports claude_gateway"
        sees_engine = _any_in(names, ["workers.engine", "workers.pool"])
        sees_web = _any_in(names, ["claude_gateway.web"])
        if sees_engine and sees_web and module != "claude_gateway.app":
            yield f"{module} sees both the engine and the web layer"
        uses_demo = _any_in(names, ["claude_gateway.demo"])
        if uses_demo and not _in(
            module, ["claude_gateway.demo", "claude_gateway.cli_facts", "claude_gateway.cli", "tests", "bench"]
        ):
            yield f"{module} imports the demo"


def _impure_modules(imports: Imports) -> Iterator[str]:
    for module, names in imports.items():
        if _in(module, ["claude_gateway.dialects"]):
            own = ".".join(module.split(".")[:3])
            # `from a.b import c` counts as both `a.b` and `a.b.c`, so the parents of what is allowed come along.
            allowed = [*DIALECT_MAY_IMPORT, own]
            parents = {
                "claude_gateway",
                "claude_gateway.dialects",
                "claude_gateway.prompt",
                "claude_gateway.structured",
                "workers",
            }
            for name in names - parents:
                if not _in(name, allowed):
                    yield f"{module} imports {name}, which a dialect may not"
        if module in PURE:
            for name in names:
                if _in(name, IMPURE):
                    yield f"{module} is pure and imports {name}"


def _homeless_libraries(imports: Imports) -> Iterator[str]:
    for module, names in imports.items():
        for library in {name.partition(".")[0] for name in names} - OURS - sys.stdlib_module_names:
            if not _in(module, HOMES.get(library, ())):
                yield f"{module} is no home of {library}"


def _cycles(imports: Imports) -> Iterator[list[str]]:
    """One cycle for each module that can reach itself, from its least member only."""
    for start in imports:
        paths = [[start]]
        seen: set[str] = set()
        while paths:
            path = paths.pop()
            for name in imports[path[-1]] & imports.keys():
                if name == start:
                    if start == min(path):
                        yield [*path, start]
                elif name not in seen:
                    seen.add(name)
                    paths.append([*path, name])


def _in(name: str, homes: Iterable[str]) -> bool:
    return any(name == home or name.startswith(f"{home}.") for home in homes)


def _any_in(names: Iterable[str], homes: Iterable[str]) -> bool:
    homes = list(homes)
    return any(_in(name, homes) for name in names)


def read_imports(*packages: str) -> dict[str, frozenset[str]]:
    """Every module of the packages under the root, with what it imports anywhere in it."""
    found = {}
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            found[module] = frozenset(_imported(ast.parse(path.read_text())))
    return found


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield module
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.ImportFrom():
                raise AssertionError("imports are absolute here, so that this test can read them")


@pytest.mark.promise("source.layers")
def test_every_import_follows_the_arrows() -> None:
    assert violations(read_imports(*OURS)) == []


def test_the_reader_sees_the_imports_of_the_source() -> None:
    imports = read_imports(*OURS)

    assert {"workers.engine", "claude_gateway.web.routes"} <= imports["claude_gateway.app"]
    assert "openai" in imports["claude_gateway.demo.show"]  # under `if TYPE_CHECKING` and inside a function


def test_every_listed_module_exists() -> None:
    imports = read_imports(*OURS)

    assert set(PURE) <= imports.keys()
    assert {home for homes in HOMES.values() for home in homes} <= imports.keys()


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("workers.pool", "claude_gateway.errors"),
        ("claude_gateway.dialects.gemini.parse", "aiohttp"),
        ("claude_gateway.dialects.gemini.parse", "time"),
        ("claude_gateway.dialects.gemini.parse", "asyncio"),
        ("claude_gateway.dialects.gemini.parse", "claude_gateway.service"),
        ("claude_gateway.dialects.gemini.parse", "claude_gateway.dialects.openai_chat.wire"),
        ("claude_gateway.access.keys", "aiohttp"),
        ("workers.answer", "time"),
        ("claude_gateway.web.chat", "uvloop"),
        ("claude_gateway.web.chat", "aiohttp_sse"),
        ("claude_gateway.web.chat", "a_library_nobody_spoke_of"),
        ("claude_gateway.service", "claude_gateway.demo.upstream"),
    ],
)
def test_a_forbidden_import_is_named(module: str, imported: str) -> None:
    (complaint, *_) = violations({module: frozenset({imported})})

    assert module in complaint


def test_only_the_composition_root_sees_both_engine_and_web() -> None:
    both = frozenset({"workers.engine", "claude_gateway.web.routes"})

    assert violations({"claude_gateway.app": both}) == []
    assert violations({"claude_gateway.service": both}) == [
        "claude_gateway.service sees both the engine and the web layer"
    ]


def test_a_cycle_is_named_once_with_its_whole_way() -> None:
    cycle = {
        "workers.a": frozenset({"workers.b"}),
        "workers.b": frozenset({"workers.c"}),
        "workers.c": frozenset({"workers.a"}),
        "workers.d": frozenset({"workers.a"}),
    }

    assert violations(cycle) == ["cycle: workers.a -> workers.b -> workers.c -> workers.a"]


def test_a_dialect_may_import_its_own_modules_and_the_shared_words() -> None:
    names = frozenset({"claude_gateway.dialects.gemini.wire", "workers.job", "workers.job.Text", "orjson", "typing"})

    assert violations({"claude_gateway.dialects.gemini.parse": names}) == []
