"""`python -m tests.clients [WORD...]`: run the clients, or those whose name or dialect has a WORD in it.

Prints the table and what is wrong; writes the table into the README after a whole run. Fails on any red cell.
"""

import json
import sys
import tempfile
from pathlib import Path

import uvloop
from pydantic import SecretStr

from claude_gateway.app import running_gateway
from claude_gateway.config import Settings
from claude_gateway.demo.show import demo_settings
from claude_gateway.demo.upstream import stand_in
from tests.clients.cell import Cell, run_cell
from tests.clients.installs import ROOT, Installs, prepare
from tests.clients.roster import CLIENTS
from tests.clients.table import table, write
from tests.clients.visit import KEY, VERBS, Client
from tests.clients.witness import witness

_README = Path(__file__).parent.parent.parent / "README.md"


async def _run_all(clients: list[Client], installs: Installs) -> list[dict[str, Cell]]:
    """The cells of each client, one after another: what a listener sees is then of one client alone."""
    found = []
    with tempfile.TemporaryDirectory(prefix="claude-gateway-clients-") as directory:
        async with (
            stand_in(remember=False) as upstream,
            running_gateway(_settings(upstream.url, Path(directory))) as address,
            witness(address) as seen,
        ):
            for client in clients:
                cells = {}
                for verb in VERBS:
                    cells[verb] = await run_cell(client, verb, installs, seen)
                    print(f"{client.id:36} {verb:7} {cells[verb].word}", file=sys.stderr, flush=True)
                found.append(cells)
    return found


def _settings(upstream: str, state_dir: Path) -> Settings:
    return demo_settings(upstream, state_dir).model_copy(update={"api_key": SecretStr(KEY)})


def _keep_requests(name: str, cell: Cell) -> Path:
    """What the client sent in a red cell, for whoever has to find out why."""
    path = ROOT / "failed" / f"{name}.json".replace("/", "_").replace(" ", "-")
    path.parent.mkdir(parents=True, exist_ok=True)
    sent = [{"asked": f"{one.method} {one.path}", "status": one.status, "body": one.body} for one in cell.exchanges]
    path.write_text(json.dumps(sent, indent=1))
    return path


def main(words: list[str]) -> int:
    clients = [client for client in CLIENTS if not words or any(word in client.id for word in words)]
    if not clients:
        print(f"no client has any of these in its name: {', '.join(words)}", file=sys.stderr)
        return 2
    installs = prepare({client.install for client in clients})
    found = uvloop.run(_run_all(clients, installs))
    versions = [installs.version(client.install, client.package) for client in clients]
    printed = table(list(zip(clients, versions, found, strict=True)))
    print(printed)
    if not words:
        write(_README, printed)
    red = {
        f"{client.id} {verb}": cell
        for client, cells in zip(clients, found, strict=True)
        for verb, cell in cells.items()
        if cell.wrong
    }
    for name, cell in red.items():
        print(f"\n{name}: {cell.wrong}\nwhat it sent: {_keep_requests(name, cell)}")
    return 1 if red else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
