"""How many tokens a model writes at most; `cli_facts` holds the same names against the real CLI."""

import pytest

from claude_gateway.cli_facts.chat import OUTPUT_LIMITS
from workers.output_limit import output_limit


@pytest.mark.parametrize(("model", "limit"), OUTPUT_LIMITS.items())
def test_knows_the_limit_that_the_cli_has_for_a_name(model: str, limit: int) -> None:
    assert output_limit(model) == limit
