"""Maximum output tokens of models; `cli_contract` checks the same names with the real CLI."""

import pytest

from claude_gateway.devtools.cli_contract.chat import MAX_OUTPUT_TOKENS_BY_MODEL
from workers.params.output_limit import get_max_output_tokens


@pytest.mark.parametrize(("model", "limit"), MAX_OUTPUT_TOKENS_BY_MODEL.items())
def test_returns_the_maximum_of_the_cli_for_a_model(model: str, limit: int) -> None:
    assert get_max_output_tokens(model) == limit
