"""Send each job through a fresh and through a reused process, and compare the upstream requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp

from claude_gateway.devtools.fake_anthropic.script import parse_script
from claude_gateway.devtools.fake_anthropic.server import FakeAnthropic, run_fake_anthropic
from tests.e2e.helpers.gateway import API_KEY, run_gateway_on
from tests.e2e.random_jobs.compare import Difference, compare_bodies, find_differences
from tests.e2e.random_jobs.generator import make_random_job, random_question
from tests.e2e.random_jobs.job import Dialect, Image, Job, Parameters, Text, ToolResult
from tests.e2e.random_jobs.wire import request_body, request_path

_TIMEOUT_SECONDS = 60
_MAX_TRIES = 100


@dataclass(frozen=True, slots=True)
class SentJob:
    """A sent job: status and text of the response, the gateway's warnings, and the upstream requests."""

    status: int
    warnings: str
    response_text: str
    upstream_bodies: list[dict[str, Any]]

    def find_differences(self, job: Job) -> list[Difference]:
        if self.status != 200:
            return [Difference("status", "200", f"{self.status}: {self.response_text[:300]}")]
        if len(self.upstream_bodies) != 1:
            return [Difference("upstream requests", "1", str(len(self.upstream_bodies)))]
        return find_differences(job, self.upstream_bodies[0])

    @property
    def reply_text(self) -> str:
        """The text that the fake Anthropic API replied."""
        return parse_script(self.upstream_bodies[-1]).text


@dataclass(slots=True)
class Route:
    """A gateway and the fake Anthropic API behind it."""

    url: str
    upstream: FakeAnthropic
    session: aiohttp.ClientSession

    async def send(self, job: Job) -> SentJob:
        self.upstream.clear()
        async with self.session.post(self.url + request_path(job), json=request_body(job)) as response:
            text = await response.text(errors="replace")
            warnings = response.headers.get("x-gateway-warnings", "")
        return SentJob(response.status, warnings, text, [request.body for request in self.upstream.chat_requests])


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference, the route on which it occurred, and the job that shows it."""

    job: Job
    route: str
    difference: Difference
    warnings: str


@dataclass(slots=True)
class Trial:
    """Two routes: the gateway of `fresh` starts a process for each job, that of `reused` has one process for all."""

    fresh: Route
    reused: Route
    findings: list[Finding] = field(default_factory=list)
    job_count: int = 0

    async def run(self, seed: int, dialect: Dialect) -> list[Finding]:
        """Send a job by both routes, and then the client's next question in the same conversation."""
        job = make_random_job(seed, dialect)
        findings, sent = await self._compare(job)
        if sent is not None:
            next_findings, _ = await self._compare(job.with_next_question(sent.reply_text, random_question(seed)))
            findings += next_findings
        self.findings += findings
        return findings

    async def _compare(self, job: Job) -> tuple[list[Finding], SentJob | None]:
        self.job_count += 1
        fresh, reused = await asyncio.gather(self.fresh.send(job), self.reused.send(job))
        sent_jobs = {"fresh": fresh, "reused": reused}
        findings = [
            Finding(job, route, difference, sent_job.warnings)
            for route, sent_job in sent_jobs.items()
            for difference in sent_job.find_differences(job)
        ]
        bodies = [sent_job.upstream_bodies[0] for sent_job in sent_jobs.values() if len(sent_job.upstream_bodies) == 1]
        if not findings and len(bodies) == 2:
            findings = [Finding(job, "fresh/reused", difference, "") for difference in compare_bodies(*bodies)]
        has_reply = fresh.status == reused.status == 200 and reused.upstream_bodies
        return findings, reused if has_reply else None

    async def shrink(self, finding: Finding) -> Finding:
        """Return a smaller job with the same kind of difference, if some tries find one."""
        candidates = iter(_reductions(finding.job))
        for _ in range(_MAX_TRIES):
            if (job := next(candidates, None)) is None:
                break
            sent = await self.reused.send(job)
            same = [found for found in sent.find_differences(job) if found.kind == finding.difference.kind]
            if same:
                finding = Finding(job, "reused", same[0], sent.warnings)
                candidates = iter(_reductions(job))
        return finding


def _reductions(job: Job) -> list[Job]:
    """Return jobs with one thing less, which are still legal requests."""
    positions = range(0, len(job.turns) - 2, 2)
    jobs = [replace(job, turns=job.turns[number + 2 :]) for number in positions]
    jobs += [replace(job, turns=job.turns[:number] + job.turns[number + 2 :]) for number in positions]
    jobs += [replace(job, turns=job.turns[: number + 1]) for number in positions]
    jobs += [
        replace(
            job, turns=(*job.turns[:n], replace(turn, parts=turn.parts[:p] + turn.parts[p + 1 :]), *job.turns[n + 1 :])
        )
        for n, turn in enumerate(job.turns)
        for p, part in enumerate(turn.parts)
        if len(turn.parts) > 1 and isinstance(part, Text | Image)
    ]
    jobs += [replace(job, tools=job.tools[:n] + job.tools[n + 1 :]) for n in range(len(job.tools))]
    jobs += [replace(job, system=job.system[:n] + job.system[n + 1 :]) for n in range(len(job.system))]
    plain = replace(Parameters(), max_tokens=job.parameters.max_tokens)
    if job.parameters != plain:
        jobs.append(replace(job, parameters=plain))
    return [
        smaller
        for smaller in jobs
        if smaller.turns and smaller.turns[0].role == "user" and not _starts_with_tool_results(smaller)
    ]


def _starts_with_tool_results(job: Job) -> bool:
    return any(isinstance(part, ToolResult) for part in job.turns[0].parts)


@asynccontextmanager
async def run_trial(state_dir: Path) -> AsyncIterator[Trial]:
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with (
        run_fake_anthropic() as first,
        run_fake_anthropic() as second,
        run_gateway_on(first, state_dir / "fresh", chat_workers=1, chat_spare_workers=2, max_worker_jobs=1) as fresh,
        run_gateway_on(second, state_dir / "reused", chat_workers=1) as reused,
        aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(_TIMEOUT_SECONDS)) as session,
    ):
        yield Trial(Route(fresh.url, first, session), Route(reused.url, second, session))


async def run_jobs(state_dir: Path, dialect: Dialect, job_count: int, seed: int) -> Trial:
    """Run `job_count` jobs of a dialect, each with its next question, and return the trial."""
    async with run_trial(state_dir) as trial:
        for number in range(job_count):
            await trial.run(seed + number, dialect)
        return trial
