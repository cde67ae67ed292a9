"""Many clients at once that send the requests of a plan."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from claude_gateway.devtools.fake_anthropic.server import FakeAnthropic
from tests.e2e.faults.gateway_database import GatewayDatabase
from tests.e2e.faults.load_clients import LoadClients, Outcome
from tests.e2e.faults.plan import PlannedRequest
from tests.e2e.faults.record import RunRecord

# The usage record of an abandoned job is written shortly after its client disconnected.
_TIMEOUT_SECONDS = 20.0


class LoadRunner:
    """Sends the requests of a plan through many clients and records the outcomes."""

    def __init__(
        self,
        clients: LoadClients,
        upstream: FakeAnthropic,
        claims_dir: Path,
        api_keys: Sequence[str],
        database: GatewayDatabase,
    ) -> None:
        self._clients = clients
        self._upstream = upstream
        self._claims_dir = claims_dir
        self._api_keys = api_keys
        self._database = database
        self.record = RunRecord()

    async def run(
        self,
        request_sequences: Iterator[tuple[PlannedRequest, ...]],
        client_count: int,
        should_continue: Callable[[], bool],
    ) -> None:
        """Run `client_count` clients until `should_continue` returns False or the plan ends.

        Each client takes the next sequence of the plan when its previous one has ended. Requests that were sent are
        awaited.
        """

        async def run_client(number: int) -> None:
            key = self._api_keys[number % len(self._api_keys)]
            while should_continue() and (sequence := next(request_sequences, None)) is not None:
                for request in sequence:
                    self.record_outcome(await self.send(request, key))
                if (session := sequence[0].session_id) is not None:
                    count = await self._clients.get_message_count(session, key)
                    self.record.check_session(
                        session, count, await asyncio.to_thread(self._database.session_turns, session)
                    )

        await asyncio.gather(*map(run_client, range(client_count)))

    async def send(self, request: PlannedRequest, api_key: str) -> Outcome:
        for moment, action in (("start", request.start_fault), ("switch", request.switch_fault)):
            if action:
                await asyncio.to_thread((self._claims_dir / f"{moment}-{request.token}").write_text, action)
        return await self._clients.send(request, api_key)

    def withdraw_commands(self) -> None:
        """Remove the commands to processes that no process has carried out."""
        for command in [*self._claims_dir.glob("start-*"), *self._claims_dir.glob("switch-*")]:
            command.unlink(missing_ok=True)

    def record_outcome(self, outcome: Outcome) -> None:
        self.record.collect_requests(self._upstream)
        self.record.add_outcome(outcome)

    async def check_usage(self) -> list[str]:
        """Compare the usage records with the observations of the clients; the first key may see all jobs."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + _TIMEOUT_SECONDS
        while True:
            jobs = await self._clients.get_job_counts(self._api_keys[0])
            problems = self.record.find_usage_problems(await asyncio.to_thread(self._database.usage_rows), jobs)
            if not problems or clock() > deadline:
                self.record.usage_problems = problems
                return problems
            await asyncio.sleep(0.1)
