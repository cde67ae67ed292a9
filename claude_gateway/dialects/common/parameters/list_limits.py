"""Maximum lengths of the lists in request bodies. No I/O.

These limits bound the time that the gateway needs to validate a request. Claude Code has lower limits, which the
gateway checks later.
"""

MAX_MESSAGES = 10_000
MAX_CONTENT_PARTS = 10_000
MAX_LISTED_TOOLS = 10_000
MAX_STOP_SEQUENCES = 1_000
