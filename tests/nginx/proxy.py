"""A real nginx in front of a scripted gateway: the shipped site, on loopback, with a certificate of its own."""

import asyncio
import datetime
import ipaddress
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from claude_gateway.daemon.listener import Listener, bind
from claude_gateway.web.parts import PARTS
from claude_gateway.web.server import Ending, accepting

DEPLOY = Path(__file__).parent.parent.parent / "deploy/nginx"
SITE = (DEPLOY / "claude-gateway.conf", DEPLOY / "claude-gateway.tls.conf")
_MAIN = """
daemon off;
user root;
worker_processes 1;
pid {place}/pid;
error_log {place}/error.log;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    include {place}/site.conf;
}}
"""


@asynccontextmanager
async def behind_nginx(
    app: web.Application, place: Path, *, wall: bool = False, read_timeout: str = ""
) -> AsyncIterator[aiohttp.ClientSession]:
    """A caller's session with the gateway behind nginx. `wall`: with its limits by address."""
    with bind(app[PARTS].settings) as listening:
        listener = Listener(listening)
        async with (
            _proxy(place, listener.url, wall=wall, read_timeout=read_timeout) as session,
            accepting(app, listener, Ending(lambda _: None, _nothing, asyncio.Event())),
        ):
            yield session


@asynccontextmanager
async def before_nobody(place: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A caller's session where the gateway is away."""
    async with _proxy(place, f"http://127.0.0.1:{_free_port()}") as session:
        yield session


@asynccontextmanager
async def _proxy(
    place: Path, gateway: str, *, wall: bool = False, read_timeout: str = ""
) -> AsyncIterator[aiohttp.ClientSession]:
    port = _free_port()
    site = _site(place, port, gateway, wall=wall, read_timeout=read_timeout)
    (place / "site.conf").write_text(site)
    (place / "nginx.conf").write_text(_MAIN.format(place=place))
    async with _nginx(place, port), _session(place, port) as session:
        yield session


async def _nothing() -> None:
    pass


def _site(place: Path, port: int, gateway: str, *, wall: bool, read_timeout: str) -> str:
    """What is shipped, in this place: other ports and files; the rest as it is."""
    site = "".join(file.read_text() for file in SITE)
    changes: list[tuple[str, str]] = [
        (r"listen \[::\].*\n", "\n"),
        (r"listen 80;", f"listen 127.0.0.1:{_free_port()};"),
        (r"listen 443 ", f"listen 127.0.0.1:{port} "),
        (r"server 127\.0\.0\.1:8000;", f"server {gateway.removeprefix('http://')};"),
        (r"/etc/letsencrypt/live/gateway\.example\.com", str(place)),
        (r"/var/log/nginx", str(place)),
    ]
    if not wall:
        changes.append((r"limit_(req|conn) .*\n", "\n"))
    if read_timeout:
        changes.append((r"proxy_read_timeout .*\n", f"proxy_read_timeout {read_timeout};\n"))
    for pattern, text in changes:
        site, count = re.subn(pattern, text, site)
        assert count, pattern
    return site


@asynccontextmanager
async def _nginx(place: Path, port: int) -> AsyncIterator[None]:
    _certificate(place)
    process = await asyncio.create_subprocess_exec(
        *("nginx", "-p", str(place), "-c", str(place / "nginx.conf")), stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(20):
            while not await _answers(port):
                assert process.returncode is None, (await process.communicate())[1].decode()
                await asyncio.sleep(0.05)
        yield
    finally:
        process.terminate()
        await process.communicate()


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


@asynccontextmanager
async def _session(place: Path, port: int) -> AsyncIterator[aiohttp.ClientSession]:
    trusted = await asyncio.to_thread(ssl.create_default_context, cafile=str(place / "fullchain.pem"))
    connector = aiohttp.TCPConnector(ssl=trusted, limit=0)
    async with aiohttp.ClientSession(f"https://127.0.0.1:{port}", connector=connector) as session:
        yield session


def _certificate(place: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway.example.com")])
    now = datetime.datetime.now(datetime.UTC)
    loopback: list[Any] = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(loopback), critical=False)
        .sign(key, hashes.SHA256())
    )
    (place / "fullchain.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (place / "privkey.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
