"""Jobs that go to the next login after a limit or a rejection, within one job."""

import asyncio
from dataclasses import replace

import pytest

from claude_gateway.jobs.service import ChatService
from claude_gateway.usage.record import RequestContext
from claude_gateway.usage.recorder import UsageRecorder
from tests.claude_gateway.scripted import HELLO_EVENTS, JOB, STARTED, ScriptedWorkerSource, ScriptStep
from tests.events import each_event
from workers.core.errors import ErrorKind, WorkerError
from workers.core.events import Event, ToolCallStarted
from workers.core.settings import AuthMethod
from workers.logins.login_state import LoginState
from workers.logins.monitor import LoginMonitor

LOGIN_KINDS = [
    ErrorKind.LOGIN_LIMIT_REACHED,
    ErrorKind.AUTHENTICATION,
    ErrorKind.BILLING,
    ErrorKind.START_FAILED,
    ErrorKind.MODEL_NOT_FOUND,
]


class Fallback:
    """A service whose worker source has several logins."""

    def __init__(self, *attempts: list[ScriptStep], logins: int = 2) -> None:
        self.source = ScriptedWorkerSource([*attempts, HELLO_EVENTS])
        states = [LoginState(f"login-{n}", AuthMethod.CLI) for n in range(logins)]
        self.source.logins = LoginMonitor(states, allows_fallback=True)
        self.recorder, self.context = UsageRecorder(), RequestContext()
        self.rejected_models: list[str] = []

    async def run(self, login: str = "") -> list[Event]:
        service = ChatService(
            self.source, 60, usage_recorder=self.recorder, on_model_rejected=self.rejected_models.append
        )
        job = replace(JOB, login=login)
        async with asyncio.timeout(10):
            return [event async for event in each_event(service.run(job, context=self.context))]


@pytest.mark.promise("logins.fallback")
@pytest.mark.parametrize("kind", LOGIN_KINDS)
async def test_job_runs_with_the_next_login_at_once(kind: ErrorKind) -> None:
    fallback = Fallback([WorkerError(kind, "x")])
    assert tuple(await fallback.run()) == HELLO_EVENTS
    (record,) = fallback.context.usage_records
    assert (record.login, record.attempt_count, record.result) == ("login-1", 2, "ok")


async def test_job_fails_with_the_last_error_if_each_login_is_rejected() -> None:
    fallback = Fallback(*[[WorkerError(ErrorKind.AUTHENTICATION, f"rejected {n}")] for n in range(3)], logins=3)
    with pytest.raises(WorkerError, match="rejected 2"):
        await fallback.run()
    assert len(fallback.source.jobs) == 3


async def test_job_whose_tools_have_run_is_not_repeated() -> None:
    steps: list[ScriptStep] = [STARTED, ToolCallStarted("1", "Bash", "ls"), WorkerError(ErrorKind.AUTHENTICATION, "x")]
    fallback = Fallback(steps)
    with pytest.raises(WorkerError):
        await fallback.run()
    assert len(fallback.source.jobs) == 1


async def test_other_failures_use_no_other_login() -> None:
    fallback = Fallback([WorkerError(ErrorKind.RATE_LIMITED, "x")])
    with pytest.raises(WorkerError):
        await fallback.run()
    assert len(fallback.source.jobs) == 1


async def test_model_is_retired_only_if_no_login_knows_it() -> None:
    unknown = WorkerError(ErrorKind.MODEL_NOT_FOUND, "x")
    fallback = Fallback([unknown])
    await fallback.run()
    assert fallback.rejected_models == []
    bound = Fallback([unknown])
    with pytest.raises(WorkerError):
        await bound.run("login-1")
    assert bound.rejected_models == []
    everywhere = Fallback([unknown], [unknown])
    with pytest.raises(WorkerError):
        await everywhere.run()
    assert everywhere.rejected_models == [JOB.model]
