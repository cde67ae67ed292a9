"""`python -m tests.clients [WORD...]`: run all clients, or those whose name or dialect contains a WORD.

Prints the table and the problems, and writes the table into docs/clients.md after a whole run. Exits with status 1 if a
scenario failed.
"""

import json
import sys
import tempfile
from pathlib import Path

import uvloop
from pydantic import SecretStr

from claude_gateway.app import running_gateway
from claude_gateway.config import Settings
from claude_gateway.devtools.demo import demo_settings
from claude_gateway.devtools.fake_anthropic.server import run_fake_anthropic
from tests.clients.client import API_KEY, SCENARIOS, Client
from tests.clients.client_list import CLIENTS
from tests.clients.installs import INSTALL_ROOT, Installs, prepare_installs
from tests.clients.scenario import ScenarioResult, run_scenario
from tests.clients.table import render_table, write_table
from tests.clients.traffic_recorder import run_traffic_recorder

_DOCS = Path(__file__).parent.parent.parent / "docs"
_PAGES = (_DOCS / "clients.md", _DOCS / "clients.ar.md")


async def _run_all(clients: list[Client], installs: Installs) -> list[dict[str, ScenarioResult]]:
    """Run the scenarios of each client one after another, so that the recorder sees one client at a time."""
    results = []
    with tempfile.TemporaryDirectory(prefix="claude-gateway-clients-") as directory:
        async with (
            run_fake_anthropic(record_requests=False) as upstream,
            running_gateway(_gateway_settings(upstream.url, Path(directory))) as address,
            run_traffic_recorder(address) as recorder,
        ):
            for client in clients:
                client_results = {}
                for scenario in SCENARIOS:
                    client_results[scenario] = await run_scenario(client, scenario, installs, recorder)
                    print(f"{client.id:36} {scenario:7} {client_results[scenario].label}", file=sys.stderr, flush=True)
                results.append(client_results)
    return results


def _gateway_settings(upstream_url: str, state_dir: Path) -> Settings:
    return demo_settings(upstream_url, state_dir).model_copy(update={"api_key": SecretStr(API_KEY)})


def _write_requests(name: str, result: ScenarioResult) -> Path:
    """Write the requests of a failed scenario to a file for an investigation, and return its path."""
    path = INSTALL_ROOT / "failed" / f"{name}.json".replace("/", "_").replace(" ", "-")
    path.parent.mkdir(parents=True, exist_ok=True)
    requests = [
        {"request": f"{exchange.method} {exchange.path}", "status": exchange.status, "body": exchange.body}
        for exchange in result.exchanges
    ]
    path.write_text(json.dumps(requests, indent=1))
    return path


def main(filters: list[str]) -> int:
    clients = [client for client in CLIENTS if not filters or any(word in client.id for word in filters)]
    if not clients:
        print(f"no client has any of these words in its name: {', '.join(filters)}", file=sys.stderr)
        return 2
    installs = prepare_installs({client.install_name for client in clients})
    results = uvloop.run(_run_all(clients, installs))
    versions = [installs.installed_version(client.install_name, client.package) for client in clients]
    table = render_table(list(zip(clients, versions, results, strict=True)))
    print(table)
    if not filters:
        for page in _PAGES:
            write_table(page, table)
    failed = {
        f"{client.id} {scenario}": result
        for client, client_results in zip(clients, results, strict=True)
        for scenario, result in client_results.items()
        if result.problem
    }
    for name, result in failed.items():
        print(f"\n{name}: {result.problem}\nits requests: {_write_requests(name, result)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
