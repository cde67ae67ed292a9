"""Limits that the gateway applies to MCP servers. No I/O."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class McpLimits:
    """Limits and intervals that the gateway applies to MCP servers.

    Before the gateway parses a message, it checks the numbers of bytes and values, the nesting depth and the digits of
    each number, because these determine the time and memory that parsing takes. Before the `mcp` package validates the
    message, the gateway checks the number of result parts and list entries.

    Attributes:
        max_servers: Number of servers that one key may register.
        max_tools: Number of tools that the gateway accepts from one server.
        connect_timeout_seconds: Time limit for the handshake, a ping or a new tool list.
        call_timeout_seconds: Time limit for a tool call.
        max_message_bytes: Size of one message.
        max_message_values: Number of JSON values in one message.
        max_message_depth: Nesting depth of one message.
        max_number_digits: Number of digits in one JSON number.
        max_result_parts: Number of content parts in a tool result.
        max_list_entries: Number of entries in any other list in a message.
        max_result_bytes: Size of the content that one tool result passes to the model.
        max_catalog_bytes: Size of the descriptions and schemas of all tools of a server.
        max_pages: Number of pages that the gateway fetches of one list, such as the tool list.
        ping_interval_seconds: Interval at which the gateway checks an idle server.
        min_retry_seconds: First pause before reconnecting. Each further failure doubles the pause.
        max_retry_seconds: Longest pause before reconnecting.
        min_relist_seconds: Shortest interval between two fetches of the tool list.
        max_inbound_lines: Number of lines that a server may send within the inbound window, a time window of
            `inbound_window_seconds`. The gateway disconnects a server that exceeds this limit, alone or together with
            other servers of its key.
        max_inbound_values: Number of JSON values that a server may send within the inbound window.
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
        """Number of bytes that a server may send within the inbound window.

        This is eight times the maximum size of a message.
        """
        return 8 * self.max_message_bytes
