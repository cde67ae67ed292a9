"""A network in which this machine has the addresses of clouds' metadata, and what a caller's URLs reach there.

Run in a network namespace of its own, as root; it prints as JSON which URLs reached a metadata server, and which the
server that a caller may reach.
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

from claude_gateway.mcp_servers.bounds import Bounds
from claude_gateway.mcp_servers.connection import Unreachable
from claude_gateway.mcp_servers.flood import Volume
from claude_gateway.mcp_servers.housing import Housing
from claude_gateway.mcp_servers.server import Address, Server
from claude_gateway.mcp_servers.session import opened
from claude_gateway.name_resolver import NameResolver

ADDRESSES = ("169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")
ALLOWED = "10.9.8.7"
URLS = (
    *(f"http://[{one}]/" if ":" in one else f"http://{one}/" for one in ADDRESSES),
    *(f"http://[::ffff:{one}]/" for one in ADDRESSES if ":" not in one),
    *("http://[::ffff:a9fe:a9fe]/", "http://[0:0:0:0:0:ffff:a9fe:a9fe]/", "http://[::FFFF:169.254.169.254]:80/"),
    *("http://2852039166/", "http://0xa9fea9fe/", "http://0251.0376.0251.0376/", "http://169.254.43518/"),
    *("http://169.254.169.254./", "http://169.254.169.254:80/", "http://[fd00:ec2::254%25lo]/"),
    *("http://\uff11\uff16\uff19.254.169.254/", "http://169\u3002254\u3002169\u3002254/", "http://①⑥⑨.②⑤④.①⑥⑨.②⑤④/"),
    *("http://metadata.test/", "http://mapped.test/", "http://both.test/", "http://moves.test/"),
    *(f"http://{ALLOWED}/to-metadata", f"http://{ALLOWED}/to-mapped", f"http://{ALLOWED}/to-name"),
)
NAMES = {
    "metadata.test": [["169.254.169.254"]],
    "mapped.test": [["::ffff:169.254.169.254"]],
    "both.test": [[ALLOWED, "169.254.169.254"]],
    # One answer for each time that somebody asks: it moves behind the back of whoever looked it up once.
    "moves.test": [[ALLOWED], ["169.254.169.254"]],
}
REDIRECTS = {
    "/to-metadata": "http://169.254.169.254/",
    "/to-mapped": "http://[::ffff:169.254.169.254]/",
    "/to-name": "http://metadata.test/",
}


class Names(NameResolver):
    """Knows the names above, and asks the system for all others, which knows every way of writing a number."""

    def __init__(self) -> None:
        super().__init__()
        self._left = {name: list(answers) for name, answers in NAMES.items()}

    async def addresses(self, key: str, host: str) -> list[str]:
        if host in self._left:
            answers = self._left[host]
            return answers.pop(0) if len(answers) > 1 else answers[0]
        found = await asyncio.get_running_loop().getaddrinfo(host, 80)
        return [str(address[0]) for *_, address in found]


@asynccontextmanager
async def serving(address: str, asked: list[str]) -> AsyncIterator[None]:
    async def answer(request: web.BaseRequest) -> web.Response:
        asked.append(request.path)
        location = REDIRECTS.get(request.path)
        return web.Response(status=307 if location else 404, headers={"Location": location} if location else None)

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, address, 80).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def main() -> None:
    secret: list[str] = []
    allowed: list[str] = []
    reached: dict[str, list[str]] = {"metadata": [], "allowed": []}
    async with AsyncExitStack() as stack:
        for address in ADDRESSES:
            await stack.enter_async_context(serving(address, secret))
        await stack.enter_async_context(serving(ALLOWED, allowed))
        async with httpx2.AsyncClient(trust_env=False) as plain:  # the servers are there for whoever may reach them
            for address in ADDRESSES:
                await plain.get(f"http://[{address}]/" if ":" in address else f"http://{address}/")
        assert len(secret) == len(ADDRESSES)
        secret.clear()
        with TemporaryDirectory() as directory:
            housing = Housing(Path(directory))
            for url in URLS:
                for kind in ("http", "sse"):
                    server = Server("one", Address(url, {}, kind))  # type: ignore[arg-type]
                    try:
                        async with opened(
                            "me", server, Bounds(connect_seconds=5), housing, Names(), Volume(0.0), private=True
                        ):
                            pass
                    except Unreachable:
                        pass
                    for name, asked in (("metadata", secret), ("allowed", allowed)):
                        reached[name] += [url] * bool(asked)
                        asked.clear()
    sys.stdout.write(json.dumps(reached))


if __name__ == "__main__":
    for one in (*ADDRESSES, ALLOWED):
        length = "128" if ":" in one else "32"
        subprocess.run(["ip", "addr", "add", f"{one}/{length}", "dev", "lo"], check=True)
    asyncio.run(main())
