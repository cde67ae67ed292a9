"""Tests of the comparison of the memory with the processes that the settings allow."""

from typing import Any

import pytest

from claude_gateway.doctor.memory_checks import evaluate_chat_processes, evaluate_memory
from claude_gateway.doctor.result import CheckStatus
from tests.claude_gateway.scripted import make_settings
from workers.core.memory_state import MemoryState

SMALL = {"chat_workers": 1, "chat_spare_workers": 0, "agent_workers": 1, "agent_spare_workers": 0}


def test_compares_memory_with_the_size_of_a_worker() -> None:
    settings = make_settings(chat_workers=4, chat_spare_workers=1, agent_workers=2, agent_spare_workers=1)
    assert evaluate_memory(settings, 100.0, 1_200).status is CheckStatus.OK
    too_little = evaluate_memory(settings, 100.0, 1_199)
    assert too_little.status is CheckStatus.FAILED
    assert "1,200 MiB" in too_little.detail


def evaluate(total_mib: int, **settings: Any) -> tuple[CheckStatus, str, str]:
    result = evaluate_chat_processes(make_settings(**settings), MemoryState(total_mib, total_mib // 2))
    return result.status, result.detail, result.remedy


def test_default_settings_fit_into_4_gib() -> None:
    status, detail, _ = evaluate(4_096)
    assert status is CheckStatus.OK
    assert "at most 5, determined by the memory" in detail
    assert "the machine has 4,096 MiB" in detail


def test_names_a_limit_of_the_control_group() -> None:
    memory = MemoryState(4_096, 4_000, is_group_limit=True)
    assert "the control group has 4,096 MiB" in evaluate_chat_processes(make_settings(), memory).detail


def test_warns_of_more_workers_than_the_memory_holds() -> None:
    status, detail, remedy = evaluate(4_096, chat_workers=6, chat_spare_workers=2)
    assert status is CheckStatus.WARNING
    assert "at most 6" in detail
    assert remedy == "set CHAT_WORKERS=5, CHAT_SPARE_WORKERS=0, or add memory"


@pytest.mark.promise("doctor.memory")
def test_recommends_one_worker_without_a_spare_for_1_gib() -> None:
    status, _, remedy = evaluate(1_024)
    assert status is CheckStatus.WARNING
    assert "CHAT_WORKERS=1, CHAT_SPARE_WORKERS=0" in remedy
    assert "AGENT_WORKERS=1, AGENT_SPARE_WORKERS=0" in remedy


def test_smallest_settings_on_1_gib_have_no_room_for_tools() -> None:
    assert evaluate(1_024, **SMALL)[::2] == (
        CheckStatus.WARNING,
        "add memory before clients send jobs with built-in tools",
    )


def test_accepts_the_smallest_settings_on_2_gib() -> None:
    assert evaluate(2_048, **SMALL)[0] is CheckStatus.OK


def test_setting_determines_the_number_and_is_compared_with_the_memory() -> None:
    status, detail, _ = evaluate(4_096, max_chat_processes=4)
    assert (status, "at most 4, determined by MAX_CHAT_PROCESSES" in detail) == (CheckStatus.OK, True)
    status, detail, remedy = evaluate(4_096, max_chat_processes=40)
    assert (status, "at most 40" in detail) == (CheckStatus.WARNING, True)
    assert remedy == "set MAX_CHAT_PROCESSES=5, or add memory"
    remedy = evaluate(2_048, max_chat_processes=40, **SMALL | {"chat_workers": 9})[2]
    assert remedy == "set CHAT_WORKERS=2, MAX_CHAT_PROCESSES=2, or add memory"


def test_small_limit_of_the_processes_needs_no_memory_for_the_spares() -> None:
    assert evaluate(2_048, **SMALL | {"chat_spare_workers": 9}, max_chat_processes=2)[0] is CheckStatus.OK
