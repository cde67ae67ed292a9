"""Determines the address of a client, even if the client connects through trusted proxies. No I/O."""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

from multidict import MultiMapping

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# A household or a server has an IPv6 network of at least /64 and can send from any address in that network.
_CLIENT_IPV6_PREFIX_BITS = 64
_UNKNOWN_ADDRESS = "unknown"


@lru_cache(maxsize=16)
def parse_networks(setting: str) -> tuple[Network, ...]:
    """Parse a comma-separated list of addresses and networks.

    Raises:
        ValueError: If an entry is not an address or network.
    """
    return tuple(ipaddress.ip_network(entry.strip()) for entry in setting.split(",") if entry.strip())


def connection_address(peer: str, trusted_proxies: Sequence[Network]) -> str:
    """Return the client address for which the gateway counts a connection before the first request arrives.

    The result is "" for a connection from a trusted proxy, because a proxy passes on the requests of many clients.
    """
    address = _parse_address(peer)
    return "" if _is_in(address, trusted_proxies) else _format_client_address(address)


def client_address(peer: str | None, headers: MultiMapping[str], trusted_proxies: Sequence[Network]) -> str:
    """Return the client's IPv4 address or IPv6 /64 network, for which the gateway counts the client's requests.

    A trusted proxy appends the address of its own peer to `X-Forwarded-For`, so the function reads this list from its
    end. The first address that does not belong to a trusted proxy is the client's address. The client may have invented
    all addresses to the left of it.
    """
    client = _parse_address(peer or "")
    for forwarded in _forwarded_addresses(headers) if _is_in(client, trusted_proxies) else ():
        previous_hop = _parse_address(forwarded)
        if previous_hop is None:
            break  # not an address, so count the request for the proxy that passed it on
        client = previous_hop
        if not _is_in(client, trusted_proxies):
            break
    return _format_client_address(client)


def _forwarded_addresses(headers: MultiMapping[str]) -> list[str]:
    """Return the addresses that proxies have added to `X-Forwarded-For`, the last one first."""
    forwarded = [address for line in headers.getall("x-forwarded-for", []) for address in line.split(",")]
    return forwarded[::-1] or headers.getall("x-real-ip", [])[-1:]


@lru_cache(maxsize=1024)
def _parse_address(text: str) -> _Address | None:
    """Parse an IP address. A port may follow the address, because some proxies write the port."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_in(address: _Address | None, networks: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in networks)


def _format_client_address(address: _Address | None) -> str:
    if address is None:
        return _UNKNOWN_ADDRESS
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((int(address), _CLIENT_IPV6_PREFIX_BITS), strict=False))
