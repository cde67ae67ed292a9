"""The addresses of a gateway, tried: the one it listens on, and the public one in front of it."""

import asyncio

import aiohttp

from claude_gateway.config import Settings
from claude_gateway.daemon.listener import bind
from claude_gateway.doctor import verdicts
from claude_gateway.doctor.findings import Finding, failed, ok
from claude_gateway.start_failed import StartFailed

_ANSWER_SECONDS = 5.0
# Longer than the pause between two heartbeats of a silent stream, as they are by default.
_STREAM_SECONDS = 15.0
# Of a stream that sends its first piece at once and never ends; it costs nothing and asks nobody upstream.
_OPEN_STREAM = "/v1/admin/live"
_HELD = "systemd holds the socket and no gateway runs behind it, or the one that does hangs"
_SEE_SERVICE = "systemctl status claude-gateway; journalctl -u claude-gateway -n 50; systemctl restart claude-gateway"


async def port(settings: Settings, answer_seconds: float = _ANSWER_SECONDS) -> tuple[Finding, bool]:
    """Whether it is free, or has a gateway of ours behind it, which is the second of the two."""
    where = f"{settings.claude_wrapper_host} port {settings.port}"
    try:
        (await asyncio.to_thread(bind, settings)).close()
    except StartFailed as error:
        base = f"http://{_reachable(settings.claude_wrapper_host)}:{settings.port}"
        try:
            is_gateway = await _is_gateway(f"{base}/health", answer_seconds)
        except TimeoutError:
            return failed("Port", f"{where} takes connections, and nobody answers them: {_HELD}", _SEE_SERVICE), False
        if is_gateway:
            return ok("Port", f"{where}: a claude-gateway serves there"), True
        return failed("Port", str(error), "end what listens there, or set PORT"), False
    return ok("Port", f"{where} is free"), False


async def streaming(url: str, key: str | None, patience: float = _STREAM_SECONDS) -> Finding:
    """Whether what the gateway sends comes through the public address as it is sent."""
    subject = f"Streaming through {url}"
    if not key:
        return failed(subject, "it needs a key of the scope admin", "set API_KEY to one")
    clock = asyncio.get_running_loop().time
    headers = {"authorization": f"Bearer {key}"}
    began = clock()
    moments: list[float] = []
    try:
        async with (
            aiohttp.ClientSession(trust_env=True) as http,
            asyncio.timeout(2 * patience),
            http.get(url.rstrip("/") + _OPEN_STREAM, headers=headers) as response,
        ):
            if response.status != 200:
                return failed(subject, f"status {response.status}", _REMEDIES.get(response.status, "see its log"))
            for _ in range(2):
                async with asyncio.timeout(patience):
                    if not await response.content.readany():
                        break
                moments.append(clock() - began)
    except TimeoutError:
        pass
    except aiohttp.ClientError as error:
        return failed(subject, type(error).__name__, "is the address right, and nginx up? curl -v it")
    first, next_ = [*moments, None, None][:2]
    return verdicts.streaming(url, first, next_, patience)


_REMEDIES = {
    401: "API_KEY is no key of that gateway",
    403: "API_KEY lacks the scope admin",
    404: "no claude-gateway of this version answers there",
    502: "start the gateway: systemctl start claude-gateway",
    503: "see the health of the gateway: /health/ready",
}


def _reachable(host: str) -> str:
    any_address = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104 - to be asked, not listened on
    return any_address.get(host, f"[{host}]" if ":" in host else host)


async def _is_gateway(url: str, seconds: float) -> bool:
    """Whether a gateway answers there. Raises `TimeoutError` where nobody says anything."""
    timeout = aiohttp.ClientTimeout(total=seconds)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as http, http.get(url) as response:
            return bool((await response.json()).get("service") == "claude-gateway")
    except TimeoutError:
        raise
    except (aiohttp.ClientError, ValueError, AttributeError):
        return False
