"""The maximum number of output tokens that the CLI allows for each model. No I/O.

If `max_tokens` in a request is higher, the CLI lowers it without a message. The numbers are those of CLI 2.1.332. A
contract check (`claude_gateway/devtools/cli_contract`) verifies the numbers.
"""

import re
from collections.abc import Mapping

# The CLI searches for these parts anywhere in a model name and ignores case. So the pattern also matches names with
# dates and the names that Vertex and Bedrock use.
_MODEL_NAME = re.compile(
    r"claude-(?:(?P<family>opus|sonnet|haiku)-4(?:-(?P<minor>\d{1,2}))?"
    r"|3(?:-(?P<old_minor>\d))?-(?P<old_family>opus|sonnet|haiku))(?!\d)"
)
_MAX_OUTPUT_TOKENS: Mapping[tuple[str, int, int], int] = {
    ("opus", 3, 0): 4_096,
    ("haiku", 3, 0): 4_096,
    ("sonnet", 3, 0): 8_192,
    ("sonnet", 3, 5): 8_192,
    ("haiku", 3, 5): 8_192,
    ("sonnet", 3, 7): 64_000,
    ("opus", 4, 0): 32_000,
    ("opus", 4, 1): 32_000,
    ("sonnet", 4, 0): 64_000,
    ("sonnet", 4, 5): 64_000,
    ("haiku", 4, 5): 64_000,
    ("opus", 4, 5): 64_000,
}
# The limit for all models from version 4.6 on, and for any model name that the CLI does not know.
_DEFAULT_MAX_OUTPUT_TOKENS = 128_000


def get_max_output_tokens(model: str) -> int:
    """Return the highest `max_tokens` that the CLI sends upstream for a model."""
    match = _MODEL_NAME.search(model.lower())
    if match is None:
        return _DEFAULT_MAX_OUTPUT_TOKENS
    if match["family"]:
        return _MAX_OUTPUT_TOKENS.get((match["family"], 4, int(match["minor"] or 0)), _DEFAULT_MAX_OUTPUT_TOKENS)
    return _MAX_OUTPUT_TOKENS.get((match["old_family"], 3, int(match["old_minor"] or 0)), _DEFAULT_MAX_OUTPUT_TOKENS)
