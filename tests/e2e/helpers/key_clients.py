"""Clients with keys of their own."""

from dataclasses import dataclass, replace
from typing import Any

import aiohttp

from tests.e2e.helpers.gateway import API_KEY, Gateway
from tests.e2e.helpers.upstream_requests import read_turns


@dataclass(frozen=True)
class KeyClient:
    """A client with a key of its own."""

    id: str
    gateway: Gateway

    async def ask(self, *messages: dict[str, Any] | str, **parameters: Any) -> str:
        """Return the text of the reply."""
        completion = await self.gateway.ask(*messages, **parameters)
        text: str = completion.choices[0].message.content
        return text

    def turns(self) -> list[tuple[str, list[str]]]:
        """Return the conversation in the newest upstream request."""
        return read_turns(self.gateway.upstream.chat_requests[-1].body)


async def request_admin(gateway: Gateway, path: str, body: dict[str, Any]) -> dict[str, Any]:
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {API_KEY}"}) as session,
        session.post(f"{gateway.url}/v1/admin/{path}", json=body) as response,
    ):
        assert response.status in {200, 201}, await response.text()
        return dict(await response.json())


async def create_client(gateway: Gateway, group: str | None) -> KeyClient:
    created = await request_admin(gateway, "keys", {"name": "one", "group": group})
    return KeyClient(created["id"], replace(gateway, client=gateway.client.copy(api_key=created["key"])))
