"""The maximum of tokens in one answer of a model, as the CLI has it. Pure.

The CLI lowers a higher limit silently. Read in CLI 2.1.332 and measured there: `cli_facts` checks it.
"""

import re
from collections.abc import Mapping

# The CLI finds a model by what its name contains, in any case: dated names, Vertex's and Bedrock's are covered too.
_NAME = re.compile(
    r"claude-(?:(?P<family>opus|sonnet|haiku)-4(?:-(?P<minor>\d{1,2}))?"
    r"|3(?:-(?P<old_minor>\d))?-(?P<old_family>opus|sonnet|haiku))(?!\d)"
)
_LIMITS: Mapping[tuple[str, int, int], int] = {
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
# Of every model since 4.6, and of any name that the CLI does not know.
_LATER_LIMIT = 128_000


def output_limit(model: str) -> int:
    """The highest `max_tokens` that the CLI sends for a model of this name."""
    match = _NAME.search(model.lower())
    if match is None:
        return _LATER_LIMIT
    if match["family"]:
        return _LIMITS.get((match["family"], 4, int(match["minor"] or 0)), _LATER_LIMIT)
    return _LIMITS.get((match["old_family"], 3, int(match["old_minor"] or 0)), _LATER_LIMIT)
