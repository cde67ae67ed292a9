"""The day after a model was retired, on the real CLI: its name still gets an answer."""

from pathlib import Path
from typing import Any

import pytest

from claude_gateway.demo.upstream import stand_in
from tests.e2e.conftest import MODEL, gateway_on

pytestmark = pytest.mark.e2e


@pytest.mark.promise("models.retired")
async def test_the_default_model_is_retired_and_every_name_for_it_still_answers(tmp_path: Path) -> None:
    # Its workers start with that very model.
    async with stand_in() as upstream, gateway_on(upstream, tmp_path / "state") as gateway:
        upstream.retired.add(MODEL)
        heirs = set()
        for name in (MODEL, "gpt-5.5", MODEL):
            raw = await asked(gateway.client, name)
            heirs.add(raw.headers["x-claude-model"])
            assert raw.parse().choices[0].message.content == "Hello?"
            assert raw.parse().model == name
        (heir,) = heirs
        listed = [model.id async for model in gateway.client.models.list()]

    assert heir.startswith("claude-sonnet-")
    assert heir in listed
    assert MODEL not in listed
    assert raw.headers["x-gateway-warnings"].startswith(f"model: {heir} answers for {MODEL}, Anthropic retired it on")
    answered = [request.body["model"] for request in upstream.chats if request.body["model"] != MODEL]
    assert answered == [heir] * 3


async def asked(client: Any, model: str) -> Any:
    return await client.chat.completions.with_raw_response.create(
        model=model, messages=[{"role": "user", "content": "Hello?"}]
    )
