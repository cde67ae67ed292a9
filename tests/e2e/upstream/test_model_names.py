"""Model names and aliases on the real CLI, which knows the current models."""

from pathlib import Path

import pytest

from claude_gateway.devtools.fake_anthropic.server import run_fake_anthropic
from claude_gateway.model_catalog.catalog import DEFAULT_FAMILY_MODELS
from tests.e2e.helpers.gateway import run_gateway_on

pytestmark = pytest.mark.e2e


async def test_default_model_is_the_current_sonnet_without_an_upstream_check(tmp_path: Path) -> None:
    async with run_fake_anthropic() as upstream, run_gateway_on(upstream, tmp_path, default_model="sonnet") as gateway:
        completions = [
            await gateway.ask("hi", model=name) for name in ("sonnet", "gpt-4o", "anthropic/claude-sonnet-5.5")
        ]
        listed = [model.id async for model in gateway.client.models.list()]

    assert [request.body["model"] for request in upstream.requests] == [DEFAULT_FAMILY_MODELS["sonnet"]] * 3
    assert [completion.model for completion in completions] == [
        DEFAULT_FAMILY_MODELS["sonnet"],
        "gpt-4o",
        "anthropic/claude-sonnet-5.5",
    ]
    assert listed[0] in DEFAULT_FAMILY_MODELS.values()


async def test_builtin_model_list_equals_that_of_the_cli(tmp_path: Path) -> None:
    """If this fails after an update of the pinned CLI, `DEFAULT_FAMILY_MODELS` has the names of the old version."""
    async with run_fake_anthropic() as upstream, run_gateway_on(upstream, tmp_path, default_model="sonnet") as gateway:
        listed = {model.id async for model in gateway.client.models.list()}

        assert listed == set(DEFAULT_FAMILY_MODELS.values())
        for word, model in DEFAULT_FAMILY_MODELS.items():
            assert (await gateway.ask("hi", model=word)).model == model
