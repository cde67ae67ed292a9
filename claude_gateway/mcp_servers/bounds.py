"""How much an MCP server may be, say and take. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """`result_bytes` is what one call may tell the model, `listing_bytes` what all tools of a server may say of
    themselves. A silent server is asked every `ping_seconds` whether it is there; one that is not is tried again after
    a second, two, four, up to `longest_pause`; one that says that its tools have changed is not asked again sooner than
    after `relist_seconds`; one that sends more than `flood_lines`, than eight of the largest messages or than
    `flood_values` within `flood_seconds`, alone or with other servers of its key, is let go.

    What costs time or memory in a message is bounded before it is parsed: its bytes, its values, how deep they are
    nested, the digits of a number; and before it is read: the parts of an answer, the entries of a list."""

    servers: int = 16
    tools: int = 128
    connect_seconds: float = 30.0
    call_seconds: float = 60.0
    message_bytes: int = 8 * 2**20
    message_values: int = 50_000
    message_depth: int = 100
    number_digits: int = 200
    parts: int = 1_000
    entries: int = 2_000
    result_bytes: int = 2 * 2**20
    listing_bytes: int = 512 * 2**10
    pages: int = 20
    ping_seconds: float = 30.0
    first_pause: float = 1.0
    longest_pause: float = 60.0
    relist_seconds: float = 5.0
    flood_lines: int = 5_000
    flood_values: int = 250_000
    flood_seconds: float = 10.0

    @property
    def flood_bytes(self) -> int:
        return 8 * self.message_bytes
