"""A network in which the host has the addresses of cloud metadata services, to try URLs of clients there.

Run it as root in a new network namespace. It prints as JSON the URLs that reached a metadata server, and the URLs that
reached the server that clients may use.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
from aiohttp import web

from claude_gateway.mcp_servers.client import open_client
from claude_gateway.mcp_servers.connection import ServerUnavailable
from claude_gateway.mcp_servers.inbound_limit import InboundVolume
from claude_gateway.mcp_servers.launcher import ServerLauncher
from claude_gateway.mcp_servers.limits import McpLimits
from claude_gateway.mcp_servers.models import HttpConfig, McpServer
from claude_gateway.net.name_resolver import NameResolver

METADATA_ADDRESSES = (
    "169.254.169.254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd20:ce::254",
)
ALLOWED_ADDRESS = "10.9.8.7"
URLS = (
    *(f"http://[{address}]/" if ":" in address else f"http://{address}/" for address in METADATA_ADDRESSES),
    *(f"http://[::ffff:{address}]/" for address in METADATA_ADDRESSES if ":" not in address),
    *("http://[::ffff:a9fe:a9fe]/", "http://[0:0:0:0:0:ffff:a9fe:a9fe]/", "http://[::FFFF:169.254.169.254]:80/"),
    *("http://2852039166/", "http://0xa9fea9fe/", "http://0251.0376.0251.0376/", "http://169.254.43518/"),
    *("http://169.254.169.254./", "http://169.254.169.254:80/", "http://[fd00:ec2::254%25lo]/"),
    *("http://\uff11\uff16\uff19.254.169.254/", "http://169\u3002254\u3002169\u3002254/", "http://①⑥⑨.②⑤④.①⑥⑨.②⑤④/"),
    *("http://metadata.test/", "http://mapped.test/", "http://both.test/", "http://moves.test/"),
    *(
        f"http://{ALLOWED_ADDRESS}/to-metadata",
        f"http://{ALLOWED_ADDRESS}/to-mapped",
        f"http://{ALLOWED_ADDRESS}/to-name",
    ),
)
DNS_ANSWERS = {
    "metadata.test": [["169.254.169.254"]],
    "mapped.test": [["::ffff:169.254.169.254"]],
    "both.test": [[ALLOWED_ADDRESS, "169.254.169.254"]],
    # One address for each lookup, so that the name changes after its first lookup.
    "moves.test": [[ALLOWED_ADDRESS], ["169.254.169.254"]],
}
REDIRECTS = {
    "/to-metadata": "http://169.254.169.254/",
    "/to-mapped": "http://[::ffff:169.254.169.254]/",
    "/to-name": "http://metadata.test/",
}


class PartlyScriptedResolver(NameResolver):
    """Resolver of the names above. The system, which accepts every notation of an address, resolves all others."""

    def __init__(self) -> None:
        super().__init__()
        self._remaining = {name: list(answers) for name, answers in DNS_ANSWERS.items()}

    async def resolve(self, key_id: str, host: str) -> list[str]:
        if host in self._remaining:
            answers = self._remaining[host]
            return answers.pop(0) if len(answers) > 1 else answers[0]
        infos = await asyncio.get_running_loop().getaddrinfo(host, 80)
        return [str(address[0]) for *_, address in infos]


@asynccontextmanager
async def run_server(address: str, requested_paths: list[str]) -> AsyncIterator[None]:
    async def respond(request: web.BaseRequest) -> web.Response:
        requested_paths.append(request.path)
        location = REDIRECTS.get(request.path)
        return web.Response(status=307 if location else 404, headers={"Location": location} if location else None)

    runner = web.ServerRunner(web.Server(respond))
    await runner.setup()
    await web.TCPSite(runner, address, 80).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def main() -> None:
    metadata_requests: list[str] = []
    allowed_requests: list[str] = []
    reached: dict[str, list[str]] = {"metadata": [], "allowed": []}
    async with AsyncExitStack() as stack:
        for address in METADATA_ADDRESSES:
            await stack.enter_async_context(run_server(address, metadata_requests))
        await stack.enter_async_context(run_server(ALLOWED_ADDRESS, allowed_requests))
        async with httpx2.AsyncClient(trust_env=False) as http_client:  # without the gateway, metadata is reachable
            for address in METADATA_ADDRESSES:
                await http_client.get(f"http://[{address}]/" if ":" in address else f"http://{address}/")
        assert len(metadata_requests) == len(METADATA_ADDRESSES)
        metadata_requests.clear()
        with TemporaryDirectory() as directory:
            launcher = ServerLauncher(Path(directory))
            for url in URLS:
                for kind in ("http", "sse"):
                    server = McpServer("one", HttpConfig(url, {}, kind))  # type: ignore[arg-type]
                    try:
                        async with open_client(
                            "me",
                            server,
                            McpLimits(connect_timeout_seconds=5),
                            launcher,
                            PartlyScriptedResolver(),
                            InboundVolume(0.0),
                            allow_private=True,
                        ):
                            pass
                    except ServerUnavailable:
                        pass
                    for name, requests in (("metadata", metadata_requests), ("allowed", allowed_requests)):
                        reached[name] += [url] * bool(requests)
                        requests.clear()
    sys.stdout.write(json.dumps(reached))


if __name__ == "__main__":
    for address in (*METADATA_ADDRESSES, ALLOWED_ADDRESS):
        length = "128" if ":" in address else "32"
        subprocess.run(["ip", "addr", "add", f"{address}/{length}", "dev", "lo"], check=True)
    asyncio.run(main())
