"""What the words for a model mean, on the real CLI: it is the CLI that knows the models of today."""

from pathlib import Path

import pytest

from claude_gateway.demo.upstream import stand_in
from claude_gateway.models.catalogue import CURRENT
from tests.e2e.conftest import gateway_on

pytestmark = pytest.mark.e2e


async def test_the_default_model_is_the_current_sonnet_and_its_name_is_not_checked_upstream(tmp_path: Path) -> None:
    async with stand_in() as upstream, gateway_on(upstream, tmp_path, default_model="sonnet") as gateway:
        answers = [await gateway.ask("hi", model=name) for name in ("sonnet", "gpt-4o", "anthropic/claude-sonnet-5.5")]
        listed = [model.id async for model in gateway.client.models.list()]

    assert [request.body["model"] for request in upstream.received] == [CURRENT["sonnet"]] * 3
    assert [answer.model for answer in answers] == [CURRENT["sonnet"], "gpt-4o", "anthropic/claude-sonnet-5.5"]
    assert listed[0] in CURRENT.values()


async def test_what_is_known_before_the_cli_has_said_it_is_what_it_says(tmp_path: Path) -> None:
    """Where this fails after a move of the pin, `CURRENT` has the names of the pin before."""
    async with stand_in() as upstream, gateway_on(upstream, tmp_path, default_model="sonnet") as gateway:
        listed = {model.id async for model in gateway.client.models.list()}

        assert listed == set(CURRENT.values())
        for word, model in CURRENT.items():
            assert (await gateway.ask("hi", model=word)).model == model
