"""Real clients that the gateway's environment has: the official libraries, and Claude Code, as a person runs them.

`make clients` runs these and many other clients.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from pydantic import SecretStr

from claude_gateway.devtools.fake_anthropic.server import run_fake_anthropic
from tests.clients.client import API_KEY, SCENARIOS, Client
from tests.clients.client_list import CLIENTS
from tests.clients.installs import GATEWAY_ENVIRONMENT, Installs
from tests.clients.scenario import run_scenario
from tests.clients.traffic_recorder import TrafficRecorder, run_traffic_recorder
from tests.e2e.helpers.gateway import run_gateway_on

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def traffic(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TrafficRecorder]:
    state = tmp_path_factory.mktemp("state")
    async with (
        run_fake_anthropic(record_requests=False) as upstream,
        run_gateway_on(upstream, state, api_key=SecretStr(API_KEY)) as gateway,
        run_traffic_recorder(gateway.url) as watching,
    ):
        yield watching


@pytest.mark.promise("clients.programs")
@pytest.mark.parametrize("verb", SCENARIOS)
@pytest.mark.parametrize(
    "client", [client for client in CLIENTS if client.install_name == GATEWAY_ENVIRONMENT], ids=lambda client: client.id
)
async def test_client_gets_its_reply(traffic: TrafficRecorder, client: Client, verb: str) -> None:
    cell = await run_scenario(client, verb, Installs({}), traffic)

    assert not cell.problem
