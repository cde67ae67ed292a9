"""Servers of strangers, on loopback and over TLS, and a fetcher that takes one of them for the public internet."""

import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from claude_gateway.name_resolver import NameResolver
from claude_gateway.web.fetch import Fetcher

# Both are this machine itself; the tests say that the one is a stranger's and the other the network inside.
OUTSIDE, INSIDE = "127.0.0.2", "127.0.0.1"
NAMES = ("pictures.test", "inside.test", "moves.test")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Stranger:
    """A server that answers each path as told, and remembers what it was asked."""

    address: str
    port: int = 0
    answers: dict[str, Handler] = field(default_factory=dict)
    asked: list[web.Request] = field(default_factory=list)

    def url(self, path: str, host: str = "pictures.test") -> str:
        return f"https://{host}:{self.port}{path}"

    def gives(self, path: str, body: bytes, **more: object) -> str:
        """Answer this path with the body from now on; its URL."""

        async def answer(_: web.Request) -> web.Response:
            return web.Response(body=body, **more)  # type: ignore[arg-type]

        self.answers[path] = answer
        return self.url(path)

    def sends_on(self, path: str, location: str) -> str:
        """Answer this path with a redirect."""
        return self.gives(path, b"", status=302, headers={"Location": location, "Set-Cookie": "a=b; Path=/"})

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        if (handler := self.answers.get(request.path)) is None:
            return web.Response(status=404)
        return await handler(request)


@asynccontextmanager
async def stranger(address: str = OUTSIDE, port: int = 0) -> AsyncIterator[Stranger]:
    server = Stranger(address)
    runner = web.ServerRunner(web.Server(server.answer), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, address, port, ssl_context=certified()[0])
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()


class Names(NameResolver):
    """Knows the names it was told, each time at the next of its addresses; the last one stays."""

    def __init__(self, **addresses: list[str]) -> None:
        super().__init__()
        self._addresses = {"pictures.test": [OUTSIDE], "inside.test": [INSIDE], **addresses}

    async def addresses(self, key: str, host: str) -> list[str]:
        known = self._addresses.get(host)
        if known is None:
            raise OSError("no such name")
        return [known.pop(0) if len(known) > 1 else known[0]]


def fetcher_to(server: Stranger, names: NameResolver | None = None, seconds: float = 30) -> Fetcher:
    """A fetcher for which this one server is the whole public internet."""
    return Fetcher(names or Names(), lambda *place: place == (server.address, server.port), certified()[1], seconds)


@cache
def certified() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for the names and addresses of the tests, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a stranger")])
    now = datetime.now(UTC)
    names = [x509.DNSName(one) for one in NAMES]
    addresses = [x509.IPAddress(ipaddress.ip_address(one)) for one in (OUTSIDE, INSIDE)]
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([*names, *addresses]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with TemporaryDirectory() as directory:
        file = Path(directory) / "both.pem"
        file.write_bytes(pem + secret)
        server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=pem.decode())
