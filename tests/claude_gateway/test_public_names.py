"""Rules for the names that operators and clients see, and their presence in the documents."""

import re
from pathlib import Path

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from claude_gateway.cli.main import main
from claude_gateway.config import Settings
from claude_gateway.core.errors import error_code
from claude_gateway.observability.metrics import Metrics
from claude_gateway.usage.record import UnwrittenRecords
from workers.core.errors import ErrorKind
from workers.pool.process_info import ProcessInfo

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CASES = Path(__file__).parent / "dialects" / "cases"

# Names that existing clients use, in milliseconds and in bytes.
SETTINGS_WITHOUT_UNIT = {"max_timeout", "max_request_size"}
UNITS = ("_seconds", "_days", "_bytes", "_mib", "_per_minute")
# Numbers without a unit, in addition to those that begin with `max_`.
COUNTS = {"port", "chat_workers", "chat_spare_workers", "agent_workers", "agent_spare_workers", "agent_uid"}
RETIRED_WORDS = {"limit", "box", "once", "mb"}
WARNING = re.compile(r"[^ ]+: (ignored|omitted|changed|converted|moved|added|merged)\b")


NUMBERS = [
    name for name, field in Settings.model_fields.items() if field.annotation in (int, float, int | None, float | None)
]


def exported_metrics() -> dict[str, tuple[str, str]]:
    """Return type and help text of each metric, by its name without the suffix that depends on the type."""
    text = Metrics().render(1, 1, (), {"chat": {"running": 0, "waiting": 0}}, UnwrittenRecords()).decode()
    return {
        family.name: (family.type, family.documentation)
        for family in text_string_to_metric_families(text)
        if not family.name.endswith("_created")  # the library adds it to a counter
    }


@pytest.mark.parametrize("name", NUMBERS)
def test_number_setting_ends_with_its_unit_or_is_a_count(name: str) -> None:
    is_count = name in COUNTS or (name.startswith("max_") and not re.search("time|age|memory|size|disk|rss", name))

    assert name.endswith(UNITS) or is_count or name in SETTINGS_WITHOUT_UNIT


@pytest.mark.parametrize("name", Settings.model_fields)
def test_setting_name_has_no_retired_word(name: str) -> None:
    words = set(name.split("_"))

    assert name.startswith("rate_limit_") or not words & RETIRED_WORDS
    assert "max" not in words or name.startswith("max_")


@pytest.mark.parametrize(("name", "metric"), exported_metrics().items())
def test_metric_name_follows_the_conventions_of_prometheus(name: str, metric: tuple[str, str]) -> None:
    type_, documentation = metric

    assert re.fullmatch(r"gateway(_[a-z]+)+", name)
    assert not name.endswith(("_total", "_count", "_sum", "_bucket", f"_{type_}"))
    assert type_ in {"counter", "gauge"} or name.endswith(("_seconds", "_bytes"))
    assert not re.search(r"(_ms|_mib|_minutes|_milliseconds|_kb|_mb)(_|$)", name)
    assert ("memory" in name) <= name.endswith("_bytes")
    assert documentation.endswith(".")


def test_labels_of_worker_metrics_are_field_terms() -> None:
    metrics = Metrics()
    metrics.process_started("chat", 1.0)
    metrics.process_exited("chat", "evicted")
    metrics.history_loaded("chat", "new")
    process = ProcessInfo("chat", 1, "ready", None, "sonnet", 0)

    text = metrics.render(1, 1, [(process, 1)], {"chat": {"running": 0}}, UnwrittenRecords()).decode()

    assert set(re.findall(r'(\w+)="', text)) == {"pool", "reason", "source", "phase", "state", "le"}


def test_counter_of_lost_usage_records_follows_the_total() -> None:
    metrics = Metrics()
    metrics.render(1, 1, (), {}, UnwrittenRecords(lost_count=2))

    text = metrics.render(1, 1, (), {}, UnwrittenRecords(waiting_count=3, lost_count=5)).decode()

    assert "gateway_lost_usage_records_total 5.0" in text
    assert "gateway_pending_usage_records 3.0" in text


@pytest.mark.parametrize(("name", "metric"), exported_metrics().items())
def test_documents_list_every_metric(name: str, metric: tuple[str, str]) -> None:
    type_, _ = metric
    exported = name.removeprefix("gateway_") + ("_total" if type_ == "counter" else "")

    assert any(re.search(rf"\b(gateway_)?{exported}\b", path.read_text()) for path in DOCUMENTS)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_documents_list_every_setting(name: str) -> None:
    assert any(f"`{name.upper()}`" in path.read_text() for path in DOCUMENTS)


def test_documents_list_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(path.read_text() for path in [*DOCUMENTS, ROOT / "Makefile"])
    with pytest.raises(SystemExit):
        main(["--help"])
    commands = re.findall(r"^    ([a-z-]+)", capsys.readouterr().out, re.MULTILINE)

    assert len(commands) > 10
    assert [name for name in commands if not re.search(rf"claude-gateway {name}\b", text)] == []


def test_each_kind_of_failure_has_its_own_code() -> None:
    codes = [error_code(kind) for kind in ErrorKind]

    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", code) for code in codes)


@pytest.mark.parametrize("path", sorted(CASES.rglob("job.json")), ids=lambda path: f"{path.parts[-3]}-{path.parts[-2]}")
def test_warning_names_a_field_and_says_what_the_gateway_did(path: Path) -> None:
    warnings = orjson.loads(path.read_bytes()).get("warnings", [])

    assert [warning for warning in warnings if not WARNING.match(warning)] == []
