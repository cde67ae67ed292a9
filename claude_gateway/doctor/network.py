"""Checks the address on which the gateway listens, and the public address by which clients reach the gateway."""

import asyncio

import aiohttp

from claude_gateway.config import Settings
from claude_gateway.core.errors import StartupError
from claude_gateway.doctor import checks
from claude_gateway.doctor.result import CheckResult, failed_result, ok_result
from claude_gateway.runtime.listen_socket import bind_socket

_RESPONSE_TIMEOUT_SECONDS = 5.0
# Time limit for each chunk. It is longer than the default interval between two heartbeats of a silent stream.
_CHUNK_TIMEOUT_SECONDS = 15.0
# Path of a stream that never ends. The gateway sends its first chunk immediately, and sends nothing upstream for it.
_LIVE_STREAM_PATH = "/v1/admin/live"
_SOCKET_HELD_REASON = "systemd holds the socket and no gateway runs behind it, or the gateway hangs"
_SERVICE_REMEDY = (
    "systemctl status claude-gateway; journalctl -u claude-gateway -n 50; systemctl restart claude-gateway"
)


async def probe_port(
    settings: Settings, timeout_seconds: float = _RESPONSE_TIMEOUT_SECONDS
) -> tuple[CheckResult, bool]:
    """Check whether the configured port is free or a gateway listens on it.

    Returns:
        The result of the check, and whether a gateway is running on the port.
    """
    address = f"{settings.claude_wrapper_host} port {settings.port}"
    try:
        (await asyncio.to_thread(bind_socket, settings)).close()
    except StartupError as error:
        base = f"http://{_connectable_host(settings.claude_wrapper_host)}:{settings.port}"
        try:
            is_gateway = await _is_gateway(f"{base}/health", timeout_seconds)
        except TimeoutError:
            return failed_result(
                "Port",
                f"{address} accepts connections, but no program answers them: {_SOCKET_HELD_REASON}",
                _SERVICE_REMEDY,
            ), False
        if is_gateway:
            return ok_result("Port", f"{address}: a claude-gateway is running there"), True
        return failed_result("Port", str(error), "end the program that listens there, or set PORT"), False
    return ok_result("Port", f"{address} is free"), False


async def probe_streaming(
    url: str, api_key: str | None, chunk_timeout_seconds: float = _CHUNK_TIMEOUT_SECONDS
) -> CheckResult:
    """Check whether chunks of a stream arrive through the public address as soon as the gateway sends them."""
    subject = f"Streaming through {url}"
    if not api_key:
        return failed_result(subject, "the check needs a key with the scope admin", "set API_KEY to such a key")
    clock = asyncio.get_running_loop().time
    headers = {"authorization": f"Bearer {api_key}"}
    started_at = clock()
    chunk_seconds: list[float] = []
    try:
        async with (
            aiohttp.ClientSession(trust_env=True) as http,
            asyncio.timeout(2 * chunk_timeout_seconds),
            http.get(url.rstrip("/") + _LIVE_STREAM_PATH, headers=headers) as response,
        ):
            if response.status != 200:
                return failed_result(
                    subject, f"status {response.status}", _STATUS_REMEDIES.get(response.status, "see the gateway's log")
                )
            for _ in range(2):
                async with asyncio.timeout(chunk_timeout_seconds):
                    if not await response.content.readany():
                        break
                chunk_seconds.append(clock() - started_at)
    except TimeoutError:
        pass
    except aiohttp.ClientError as error:
        return failed_result(subject, type(error).__name__, "check the address with curl -v, and that nginx is running")
    first, second = [*chunk_seconds, None, None][:2]
    return checks.evaluate_streaming(url, first, second, chunk_timeout_seconds)


_STATUS_REMEDIES = {
    401: "set API_KEY to a key of that gateway",
    403: "set API_KEY to a key with the scope admin",
    404: "check the address: no claude-gateway of this version answers there",
    502: "start the gateway: systemctl start claude-gateway",
    503: "check the health of the gateway: /health/ready",
}


def _connectable_host(host: str) -> str:
    any_address = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104 - replaced, not listened on
    return any_address.get(host, f"[{host}]" if ":" in host else host)


async def _is_gateway(url: str, timeout_seconds: float) -> bool:
    """Return whether a gateway answers at a URL.

    Raises:
        TimeoutError: If no program answers in time.
    """
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as http, http.get(url) as response:
            return bool((await response.json()).get("service") == "claude-gateway")
    except TimeoutError:
        raise
    except (aiohttp.ClientError, ValueError, AttributeError):
        return False
