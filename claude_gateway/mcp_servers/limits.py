"""Limits for MCP servers. No I/O."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class McpLimits:
    """Limits and intervals of MCP servers.

    Before the gateway parses a message, it checks the numbers of bytes and values, the nesting depth and the digits of
    each number, because these determine the time and memory that parsing takes. Before it validates the message, it
    checks the number of result parts and list entries.

    Attributes:
        max_servers: Servers that one key may register.
        max_tools: Tools of one server.
        connect_timeout_seconds: Time limit for the handshake, a ping or a new tool list.
        call_timeout_seconds: Time limit for a tool call.
        max_message_bytes: Size of one message.
        max_message_values: JSON values in one message.
        max_message_depth: Nesting depth of one message.
        max_number_digits: Digits of one number.
        max_result_parts: Content parts of a tool result.
        max_list_entries: Entries of any other list.
        max_result_bytes: Size of the content that one tool result passes to the model.
        max_catalog_bytes: Size of the descriptions and schemas of all tools of a server.
        max_pages: Pages that the gateway fetches of one list.
        ping_interval_seconds: Interval at which the gateway checks an idle server.
        min_retry_seconds: First pause before reconnecting; each further failure doubles it.
        max_retry_seconds: Longest pause before reconnecting.
        min_relist_seconds: Shortest interval between two fetches of the tool list.
        max_inbound_lines: Lines that a server may send within the inbound window. The gateway disconnects a server that
            exceeds an inbound limit, alone or together with other servers of its key.
        max_inbound_values: JSON values that a server may send within the inbound window.
        inbound_window_seconds: Length of the inbound window.
    """

    max_servers: int = 16
    max_tools: int = 128
    connect_timeout_seconds: float = 30.0
    call_timeout_seconds: float = 60.0
    max_message_bytes: int = 8 * 2**20
    max_message_values: int = 50_000
    max_message_depth: int = 100
    max_number_digits: int = 200
    max_result_parts: int = 1_000
    max_list_entries: int = 2_000
    max_result_bytes: int = 2 * 2**20
    max_catalog_bytes: int = 512 * 2**10
    max_pages: int = 20
    ping_interval_seconds: float = 30.0
    min_retry_seconds: float = 1.0
    max_retry_seconds: float = 60.0
    min_relist_seconds: float = 5.0
    max_inbound_lines: int = 5_000
    max_inbound_values: int = 250_000
    inbound_window_seconds: float = 10.0

    @property
    def max_inbound_bytes(self) -> int:
        """Bytes that a server may send within the inbound window. This is eight times the maximum size of a message."""
        return 8 * self.max_message_bytes
