"""Limits of the login that a process reports with a reply, also after the client has received the whole reply."""

from typing import Any

import pytest

from tests.workers.helpers import MODEL, TIMEOUT_SECONDS, collect_events, make_job, with_timeout
from tests.workers.scripted_process import ScriptedProcess, result_frame, text_reply_frames
from workers.core.errors import ErrorKind, WorkerError
from workers.core.frame import Frame
from workers.core.login_limits import LimitReport, LimitStatus
from workers.worker.chat_worker import ChatWorker

WARNING: Frame = {
    "type": "rate_limit_event",
    "rate_limit_info": {"status": "allowed_warning", "rateLimitType": "five_hour", "utilization": 0.9},
}
REFUSAL: Frame = {
    "type": "assistant",
    "error": "rate_limit",
    "message": {"model": "<synthetic>", "content": [], "stop_reason": "stop_sequence"},
    "api_error_params": {"rate_limit_info": {"status": "rejected", "rateLimitType": "five_hour"}},
}


class Limits:
    """A worker whose reports a test can read."""

    def __init__(self, *replies: list[Frame]) -> None:
        self.process = ScriptedProcess(replies)
        self.reports: list[tuple[LimitReport, str]] = []
        self.worker = ChatWorker(self._spawn, MODEL, on_limits=lambda *report: self.reports.append(report))

    async def _spawn(self, _: object) -> ScriptedProcess:
        return self.process


@pytest.mark.parametrize("stop_reason", ["end_turn", "max_tokens"])
async def test_event_after_the_reply_is_reported(stop_reason: str) -> None:
    *reply, result = text_reply_frames("hello", stop_reason=stop_reason)
    limits = Limits([*reply, WARNING, result])
    await limits.worker.start(TIMEOUT_SECONDS)

    await with_timeout(collect_events(limits.worker, make_job(model="claude-other")))
    await with_timeout(limits.worker.recover(TIMEOUT_SECONDS))

    ((report, model),) = limits.reports
    assert (report.is_rejected, model) == (False, "claude-other")
    assert [(window.kind, window.status) for window in report.windows] == [("five_hour", LimitStatus.WARNING)]


async def test_refusal_is_reported_before_the_job_fails() -> None:
    result: dict[str, Any] = {"api_error_status": 429, "api_error": "usage_limit_reached"}
    limits = Limits([REFUSAL, result_frame(is_error=True, **result)])
    await limits.worker.start(TIMEOUT_SECONDS)

    with pytest.raises(WorkerError) as caught:
        await with_timeout(collect_events(limits.worker, make_job()))

    assert caught.value.kind is ErrorKind.LOGIN_LIMIT_REACHED
    assert [report.is_rejected for report, _ in limits.reports] == [True]


async def test_impossible_event_does_not_end_the_job() -> None:
    *reply, result = text_reply_frames("hello")
    limits = Limits([*reply, {"type": "rate_limit_event", "rate_limit_info": ["rejected"]}, result])
    await limits.worker.start(TIMEOUT_SECONDS)

    assert await with_timeout(collect_events(limits.worker, make_job()))
    assert limits.reports == []
