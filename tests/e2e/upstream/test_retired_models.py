"""The first requests after the upstream retired a model, on the real CLI: its name still gets a reply."""

from pathlib import Path
from typing import Any

import pytest

from claude_gateway.devtools.fake_anthropic.server import run_fake_anthropic
from tests.e2e.helpers.gateway import MODEL, run_gateway_on

pytestmark = pytest.mark.e2e


@pytest.mark.promise("models.retired")
async def test_every_name_of_a_retired_default_model_still_gets_a_reply(tmp_path: Path) -> None:
    # The workers start with the retired model.
    async with run_fake_anthropic() as upstream, run_gateway_on(upstream, tmp_path / "state") as gateway:
        upstream.retired_models.add(MODEL)
        replacements = set()
        for name in (MODEL, "gpt-5.5", MODEL):
            raw = await ask(gateway.client, name)
            replacements.add(raw.headers["x-claude-model"])
            assert raw.parse().choices[0].message.content == "Hello?"
            assert raw.parse().model == name
        (replacement,) = replacements
        listed = [model.id async for model in gateway.client.models.list()]

    assert replacement.startswith("claude-sonnet-")
    assert replacement in listed
    assert MODEL not in listed
    assert raw.headers["x-gateway-warnings"].startswith(
        f"model: changed from {MODEL} to {replacement} (Anthropic retired it on"
    )
    used_models = [request.body["model"] for request in upstream.chat_requests if request.body["model"] != MODEL]
    assert used_models == [replacement] * 3


async def ask(client: Any, model: str) -> Any:
    return await client.chat.completions.with_raw_response.create(
        model=model, messages=[{"role": "user", "content": "Hello?"}]
    )
