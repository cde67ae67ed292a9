"""Run a real nginx in front of a scripted gateway: the shipped site, on loopback, with a certificate of its own."""

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

from claude_gateway.runtime.listen_socket import Listener, bind_socket
from claude_gateway.web.context.state import STATE
from claude_gateway.web.server.shutdown import ShutdownActions, serve_app

DEPLOY = Path(__file__).parent.parent.parent / "deploy/nginx"
SITE_FILES = (DEPLOY / "claude-gateway.conf", DEPLOY / "claude-gateway.tls.conf")
_MAIN_CONFIG = """
daemon off;
user root;
worker_processes 1;
pid {directory}/pid;
error_log {directory}/error.log;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/site.conf;
}}
"""


@asynccontextmanager
async def run_behind_nginx(
    app: web.Application, directory: Path, *, with_limits: bool = False, read_timeout: str = ""
) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a client session to a gateway behind nginx. `with_limits` keeps nginx's limits by address."""
    with bind_socket(app[STATE].settings) as listening:
        listener = Listener(listening)
        async with (
            _run_proxy(directory, listener.url, with_limits=with_limits, read_timeout=read_timeout) as session,
            serve_app(app, listener, ShutdownActions(lambda _: None, _noop, asyncio.Event())),
        ):
            yield session


@asynccontextmanager
async def run_nginx_without_gateway(directory: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a client session to an nginx whose gateway does not run."""
    async with _run_proxy(directory, f"http://127.0.0.1:{_find_free_port()}") as session:
        yield session


@asynccontextmanager
async def _run_proxy(
    directory: Path, gateway_url: str, *, with_limits: bool = False, read_timeout: str = ""
) -> AsyncIterator[aiohttp.ClientSession]:
    port = _find_free_port()
    site = _render_site(directory, port, gateway_url, with_limits=with_limits, read_timeout=read_timeout)
    (directory / "site.conf").write_text(site)
    (directory / "nginx.conf").write_text(_MAIN_CONFIG.format(directory=directory))
    async with _run_nginx(directory, port), _create_session(directory, port) as session:
        yield session


async def _noop() -> None:
    pass


def _render_site(directory: Path, port: int, gateway_url: str, *, with_limits: bool, read_timeout: str) -> str:
    """Return the shipped site with the ports and files of this test, and otherwise unchanged."""
    site = "".join(file.read_text() for file in SITE_FILES)
    changes: list[tuple[str, str]] = [
        (r"listen \[::\].*\n", "\n"),
        (r"listen 80;", f"listen 127.0.0.1:{_find_free_port()};"),
        (r"listen 443 ", f"listen 127.0.0.1:{port} "),
        (r"server 127\.0\.0\.1:8000;", f"server {gateway_url.removeprefix('http://')};"),
        (r"/etc/letsencrypt/live/gateway\.example\.com", str(directory)),
        (r"/var/log/nginx", str(directory)),
    ]
    if not with_limits:
        changes.append((r"limit_(req|conn) .*\n", "\n"))
    if read_timeout:
        changes.append((r"proxy_read_timeout .*\n", f"proxy_read_timeout {read_timeout};\n"))
    for pattern, text in changes:
        site, count = re.subn(pattern, text, site)
        assert count, pattern
    return site


@asynccontextmanager
async def _run_nginx(directory: Path, port: int) -> AsyncIterator[None]:
    _write_certificate(directory)
    process = await asyncio.create_subprocess_exec(
        *("nginx", "-p", str(directory), "-c", str(directory / "nginx.conf")), stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(20):
            while not await _is_listening(port):
                assert process.returncode is None, (await process.communicate())[1].decode()
                await asyncio.sleep(0.05)
        yield
    finally:
        process.terminate()
        await process.communicate()


async def _is_listening(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


@asynccontextmanager
async def _create_session(directory: Path, port: int) -> AsyncIterator[aiohttp.ClientSession]:
    trusted = await asyncio.to_thread(ssl.create_default_context, cafile=str(directory / "fullchain.pem"))
    connector = aiohttp.TCPConnector(ssl=trusted, limit=0)
    async with aiohttp.ClientSession(f"https://127.0.0.1:{port}", connector=connector) as session:
        yield session


def _write_certificate(directory: Path) -> None:
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
    (directory / "fullchain.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "privkey.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def _find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
