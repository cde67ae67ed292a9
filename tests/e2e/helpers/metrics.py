"""Read the metrics of a gateway."""

import asyncio
import time

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.helpers.gateway import API_KEY, Gateway


async def sum_metric(gateway: Gateway, name: str, **labels: str) -> float:
    """Return the sum of all samples with this name, without `gateway_`, and at least these labels."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {API_KEY}"}) as session,
        session.get(f"{gateway.url}/metrics") as response,
    ):
        assert response.status == 200
        families = list(text_string_to_metric_families(await response.text()))
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == f"gateway_{name}" and sample.labels.items() >= labels.items()
    )


async def count_reused_histories(gateway: Gateway) -> float:
    """Return the number of jobs whose conversation was already in their process."""
    return await sum_metric(gateway, "conversation_loads_total", source="reused")


async def count_chat_starts(gateway: Gateway) -> float:
    """Return the number of chat processes that have started."""
    return await sum_metric(gateway, "worker_start_duration_seconds_count", pool="chat")


async def wait_for_metric(gateway: Gateway, value: float, name: str, **labels: str) -> None:
    """Poll until a metric has this value: no event announces its changes."""
    async with asyncio.timeout(40):
        while await sum_metric(gateway, name, **labels) != value:
            await asyncio.to_thread(time.sleep, 0.05)
