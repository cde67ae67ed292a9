"""The page on deployment names the numbers of processes that the gateway computes."""

import re

import pytest

from claude_gateway.config import FixedSettings
from claude_gateway.doctor.memory_checks import evaluate_chat_processes
from tests.documents.examples import DOCS
from workers.core.memory_state import MemoryState
from workers.pool.pool_size import GATEWAY_MEMORY_MIB, PROCESS_MEMORY_MIB

_ROW = re.compile(r"^\| (\d+) (?:GiB|جيبيبايت) \| (\d+) \| (\d+) \|", re.MULTILINE)
SMALL_AGENTS = {"agent_workers": 1, "agent_spare_workers": 0}


@pytest.mark.parametrize("suffix", [".md", ".ar.md"])
def test_table_of_processes_is_that_of_the_gateway(suffix: str) -> None:
    text = (DOCS / f"operations/deploy{suffix}").read_text()
    rows = [[int(cell) for cell in row] for row in _ROW.findall(text)]

    assert [row[0] for row in rows] == [1, 2, 4, 8]
    for gib, *counts in rows:
        details = [
            evaluate_chat_processes(FixedSettings(**changes), MemoryState(gib * 1_024, 0)).detail
            for changes in ({}, SMALL_AGENTS)
        ]
        assert [re.findall(r"hold (\d+) ", detail) for detail in details] == [[str(count)] for count in counts]
    assert {str(GATEWAY_MEMORY_MIB), str(PROCESS_MEMORY_MIB)} <= set(re.findall(r"\d+", text))
