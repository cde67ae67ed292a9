import pytest

from claude_gateway.access.keys import Key
from claude_gateway.own_tools.built_in import NOTHING, USUAL, ToolChoices
from claude_gateway.own_tools.counts import ToolCounts
from claude_gateway.own_tools.stand_ins import stand_ins
from claude_gateway.own_tools.toolbox import Asks, Toolbox
from claude_gateway.prompt.hosted_tools import Hosted, deed_of
from tests.claude_gateway.mcp_servers.scripted import no_servers
from tests.claude_gateway.scripted import JOB, ScriptedEngine

SEARCH = Hosted("tools.0", "web_search", "search")
FETCH = Hosted("tools.1", "urlContext", "fetch")
CODE = Hosted("tools.2", "code_interpreter", "code")


class NoChoices:
    """A store in which nobody has configured anything."""

    async def read(self, owner: str, session: str) -> ToolChoices:
        return NOTHING


def toolbox() -> Toolbox:
    return Toolbox(ScriptedEngine(), NoChoices(), ToolCounts(), no_servers())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("type_", "deed"),
    [
        ("web_search", "search"),
        ("web_search_preview_2025_03_11", "search"),
        ("web_search_20260209", "search"),
        ("web_fetch_20250910", "fetch"),
        ("code_interpreter", "code"),
        ("code_execution_20250825", "code"),
        ("file_search", None),
        ("web_searching", None),
        (None, None),
        (["web_search"], None),
    ],
)
def test_what_a_tool_of_the_provider_does_is_told_by_its_type(type_: object, deed: str | None) -> None:
    assert deed_of(type_) == deed


def test_code_runs_in_a_process_of_the_usual_tools_and_a_search_in_one_of_its_own() -> None:
    assert set(stand_ins([CODE], [], commands="")[0]) == set(USUAL)
    assert stand_ins([SEARCH], [], commands="")[0] == ("WebSearch",)


def test_pages_are_never_fetched_and_code_not_without_a_sandbox_and_the_caller_reads_why() -> None:
    names, notes = stand_ins([FETCH, CODE], [], commands="there is no sandbox")
    assert names == ()
    assert "private addresses" in notes[0]
    assert "there is no sandbox" in notes[1]


def test_a_header_or_the_configuration_bounds_them() -> None:
    assert stand_ins([SEARCH], [ToolChoices(disallowed=("WebSearch",))], commands="")[0] == ()
    assert stand_ins([SEARCH], [ToolChoices(allowed=("Read",))], commands="")[0] == ()
    assert stand_ins([CODE], [ToolChoices(allowed=("Bash", "Read"))], commands="")[0] == ("Bash", "Read")


async def test_a_key_without_the_scope_gets_none_and_no_error_for_many_programs_ask_always() -> None:
    job, notes = await toolbox().equip(JOB, Key("k", frozenset({"chat"})), NOTHING, Asks(False, False, None, (SEARCH,)))
    assert job == JOB
    assert notes == ["tools.0: a tool of type 'web_search' was left out, this key lacks the scope 'tools'"]


async def test_together_with_enable_tools_they_are_more_tools() -> None:
    job, _ = await toolbox().equip(JOB, Key("k"), NOTHING, Asks(True, False, None, (SEARCH,)))
    assert job.work is not None
    assert set(job.work.tools) == {*USUAL, "WebSearch"}
    alone, _ = await toolbox().equip(JOB, Key("k"), NOTHING, Asks(False, False, None, (SEARCH,)))
    assert alone.work is not None
    assert alone.work.tools == ("WebSearch",)
