"""Real clients that our own environment has: the official libraries, and Claude Code itself, run as a person runs them.

`make clients` runs these and the many others.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from pydantic import SecretStr

from claude_gateway.demo.upstream import stand_in
from tests.clients.cell import run_cell
from tests.clients.installs import OWN, Installs
from tests.clients.roster import CLIENTS
from tests.clients.visit import KEY, VERBS, Client
from tests.clients.witness import Witness, witness
from tests.e2e.conftest import gateway_on

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seen(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Witness]:
    state = tmp_path_factory.mktemp("state")
    async with (
        stand_in(remember=False) as upstream,
        gateway_on(upstream, state, api_key=SecretStr(KEY)) as gateway,
        witness(gateway.url) as watching,
    ):
        yield watching


@pytest.mark.promise("clients.programs")
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "client", [client for client in CLIENTS if client.install == OWN], ids=lambda client: client.id
)
async def test_a_client_gets_its_answer(seen: Witness, client: Client, verb: str) -> None:
    cell = await run_cell(client, verb, Installs({}), seen)

    assert not cell.wrong
