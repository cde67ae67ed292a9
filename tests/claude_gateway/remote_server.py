"""TLS servers on loopback that stand for remote servers, and a fetcher that accepts one of them as public."""

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

from claude_gateway.net.fetcher import Fetcher
from claude_gateway.net.name_resolver import NameResolver

# Both addresses are loopback. For the tests the first is public and the second is in the internal network.
PUBLIC_ADDRESS, INTERNAL_ADDRESS = "127.0.0.2", "127.0.0.1"
HOST_NAMES = ("pictures.test", "inside.test", "moves.test")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class RemoteServer:
    """Remote server with scripted responses, which records its requests."""

    address: str
    port: int = 0
    handlers: dict[str, Handler] = field(default_factory=dict)
    requests: list[web.Request] = field(default_factory=list)

    def url(self, path: str, host: str = "pictures.test") -> str:
        return f"https://{host}:{self.port}{path}"

    def set_response(self, path: str, body: bytes, **options: object) -> str:
        """Respond to this path with the body from now on. Returns the URL of the path."""

        async def respond(_: web.Request) -> web.Response:
            return web.Response(body=body, **options)  # type: ignore[arg-type]

        self.handlers[path] = respond
        return self.url(path)

    def set_redirect(self, path: str, location: str) -> str:
        """Respond to this path with a redirect. Returns the URL of the path."""
        return self.set_response(path, b"", status=302, headers={"Location": location, "Set-Cookie": "a=b; Path=/"})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if (handler := self.handlers.get(request.path)) is None:
            return web.Response(status=404)
        return await handler(request)


@asynccontextmanager
async def run_remote_server(address: str = PUBLIC_ADDRESS, port: int = 0) -> AsyncIterator[RemoteServer]:
    server = RemoteServer(address)
    runner = web.ServerRunner(web.Server(server.handle), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, address, port, ssl_context=create_ssl_contexts()[0])
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()


class ScriptedResolver(NameResolver):
    """Resolver with scripted addresses. Each lookup returns the next address of a name, and then always the last."""

    def __init__(self, **addresses: list[str]) -> None:
        super().__init__()
        self._addresses = {"pictures.test": [PUBLIC_ADDRESS], "inside.test": [INTERNAL_ADDRESS], **addresses}

    async def resolve(self, key_id: str, host: str) -> list[str]:
        addresses = self._addresses.get(host)
        if addresses is None:
            raise OSError("no such name")
        return [addresses.pop(0) if len(addresses) > 1 else addresses[0]]


def create_fetcher(server: RemoteServer, resolver: NameResolver | None = None, timeout_seconds: float = 30) -> Fetcher:
    """Return a fetcher that only accepts the address of this server as public."""
    return Fetcher(
        resolver or ScriptedResolver(),
        lambda *address: address == (server.address, server.port),
        create_ssl_contexts()[1],
        timeout_seconds,
    )


@cache
def create_ssl_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return TLS contexts for a server with the names and addresses of the tests, and for a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a remote server")])
    now = datetime.now(UTC)
    names = [x509.DNSName(value) for value in HOST_NAMES]
    addresses = [x509.IPAddress(ipaddress.ip_address(value)) for value in (PUBLIC_ADDRESS, INTERNAL_ADDRESS)]
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
        file = Path(directory) / "certificate-and-key.pem"
        file.write_bytes(pem + secret)
        server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=pem.decode())
