"""Each job sent through a process that has done nothing yet and through one that has done much, and what came of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp

from claude_gateway.demo.script import plan
from claude_gateway.demo.upstream import StandIn, stand_in
from tests.e2e.conftest import API_KEY, gateway_on
from tests.e2e.random_jobs.compare import Difference, between, differences
from tests.e2e.random_jobs.generator import question, random_job
from tests.e2e.random_jobs.job import Dialect, Job, Parameters
from tests.e2e.random_jobs.wire import body_of, path_of

_SECONDS = 60
_MAX_TRIES = 100


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a job: the answer's status, the gateway's warnings, and what the upstream received."""

    status: int
    warnings: str
    refusal: str
    bodies: list[dict[str, Any]]

    def differences(self, job: Job) -> list[Difference]:
        if self.status != 200:
            return [Difference("status", "200", f"{self.status}: {self.refusal[:300]}")]
        if len(self.bodies) != 1:
            return [Difference("upstream requests", "1", str(len(self.bodies)))]
        return differences(job, self.bodies[0])

    @property
    def answer(self) -> str:
        """What the stand-in said to it."""
        return plan(self.bodies[-1]).text


@dataclass(slots=True)
class Route:
    """A gateway and the stand-in behind it."""

    url: str
    upstream: StandIn
    session: aiohttp.ClientSession

    async def send(self, job: Job) -> Sent:
        self.upstream.forget()
        async with self.session.post(self.url + path_of(job), json=body_of(job)) as response:
            said = await response.text(errors="replace")
            warnings = response.headers.get("x-gateway-warnings", "")
        return Sent(response.status, warnings, said, [request.body for request in self.upstream.chats])


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference, by which route it came about, and the job that shows it."""

    job: Job
    route: str
    difference: Difference
    warnings: str


@dataclass(slots=True)
class Trial:
    """`fresh` starts a process for each job, `used` has one for all."""

    fresh: Route
    used: Route
    findings: list[Finding] = field(default_factory=list)
    jobs: int = 0

    async def run(self, seed: int, dialect: Dialect) -> list[Finding]:
        """Send a job by both routes, and then what the client says next in the same conversation."""
        job = random_job(seed, dialect)
        found, sent = await self._compare(job)
        if sent is not None:
            more, _ = await self._compare(job.answered(sent.answer, question(seed)))
            found += more
        self.findings += found
        return found

    async def _compare(self, job: Job) -> tuple[list[Finding], Sent | None]:
        self.jobs += 1
        fresh, used = await asyncio.gather(self.fresh.send(job), self.used.send(job))
        sent = {"fresh": fresh, "used": used}
        found = [
            Finding(job, route, difference, one.warnings)
            for route, one in sent.items()
            for difference in one.differences(job)
        ]
        bodies = [one.bodies[0] for one in sent.values() if len(one.bodies) == 1]
        if not found and len(bodies) == 2:
            found = [Finding(job, "fresh/used", difference, "") for difference in between(*bodies)]
        whole = sent["fresh"].status == sent["used"].status == 200 and sent["used"].bodies
        return found, sent["used"] if whole else None

    async def smallest(self, finding: Finding) -> Finding:
        """A smaller job with the same kind of difference, where one is found in some tries."""
        candidates = iter(_reduced(finding.job))
        for _ in range(_MAX_TRIES):
            if (job := next(candidates, None)) is None:
                break
            sent = await self.used.send(job)
            same = [one for one in sent.differences(job) if one.kind == finding.difference.kind]
            if same:
                finding = Finding(job, "used", same[0], sent.warnings)
                candidates = iter(_reduced(job))
        return finding


def _reduced(job: Job) -> list[Job]:
    """The job with less of this or that, which stays a legal request."""
    places = range(0, len(job.turns) - 2, 2)
    found = [replace(job, turns=job.turns[number + 2 :]) for number in places]
    found += [replace(job, turns=job.turns[:number] + job.turns[number + 2 :]) for number in places]
    found += [replace(job, turns=job.turns[: number + 1]) for number in places]
    found += [
        replace(
            job, turns=(*job.turns[:n], replace(turn, parts=turn.parts[:p] + turn.parts[p + 1 :]), *job.turns[n + 1 :])
        )
        for n, turn in enumerate(job.turns)
        for p, part in enumerate(turn.parts)
        if len(turn.parts) > 1 and type(part).__name__ in ("Text", "Picture")
    ]
    found += [replace(job, tools=job.tools[:n] + job.tools[n + 1 :]) for n in range(len(job.tools))]
    found += [replace(job, system=job.system[:n] + job.system[n + 1 :]) for n in range(len(job.system))]
    said = job.parameters
    plain = replace(Parameters(), max_tokens=said.max_tokens)
    if said != plain:
        found.append(replace(job, parameters=plain))
    return [one for one in found if one.turns and one.turns[0].role == "user" and not _starts_with_results(one)]


def _starts_with_results(job: Job) -> bool:
    return any(type(part).__name__ == "Result" for part in job.turns[0].parts)


@asynccontextmanager
async def trial(state_dir: Path) -> AsyncIterator[Trial]:
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with (
        stand_in() as first,
        stand_in() as second,
        gateway_on(first, state_dir / "fresh", chat_workers=1, chat_spare_workers=2, worker_max_jobs=1) as fresh,
        gateway_on(second, state_dir / "used", chat_workers=1) as used,
        aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(_SECONDS)) as session,
    ):
        yield Trial(Route(fresh.url, first, session), Route(used.url, second, session))


async def run_jobs(state_dir: Path, dialect: Dialect, jobs: int, seed: int) -> Trial:
    """So many jobs of a dialect, and what follows on each."""
    async with trial(state_dir) as running:
        for number in range(jobs):
            await running.run(seed + number, dialect)
        return running
