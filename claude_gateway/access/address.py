"""Where a request comes from, behind the proxies that are believed. Pure."""

import ipaddress
from collections.abc import Sequence

from multidict import MultiMapping

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# One household or server has at least so much of IPv6, and may come from any address in it.
_OWN_IPV6_BITS = 64
_UNKNOWN = "unknown"


def read_networks(setting: str) -> tuple[Network, ...]:
    """Addresses or networks with commas between. Raises `ValueError`."""
    return tuple(ipaddress.ip_network(entry.strip()) for entry in setting.split(",") if entry.strip())


def peer_address(peer: str, trusted: Sequence[Network]) -> str:
    """As what a connection is counted before a request is there; "" for a proxy that is believed, because the requests
    that it passes on are those of others."""
    address = _address(peer)
    return "" if _is_in(address, trusted) else _counted(address)


def counted_address(peer: str | None, headers: MultiMapping[str], trusted: Sequence[Network]) -> str:
    """As what the caller is counted: its address, of IPv6 the network of 64 bits.

    A proxy that is believed writes whom it heard behind what it was told, so the list is read from its end: the first
    that is no such proxy is the caller, and what stands before that is his own invention.
    """
    caller = _address(peer or "")
    for told in _told(headers) if _is_in(caller, trusted) else ():
        before = _address(told)
        if before is None:
            break  # what is no address tells nothing; who passed it on is known
        caller = before
        if not _is_in(caller, trusted):
            break
    return _counted(caller)


def _told(headers: MultiMapping[str]) -> list[str]:
    forwarded = [one for line in headers.getall("x-forwarded-for", []) for one in line.split(",")]
    return forwarded[::-1] or headers.getall("x-real-ip", [])[-1:]


def _address(text: str) -> _Address | None:
    """Also with a port, as some proxies write it."""
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


def _counted(address: _Address | None) -> str:
    if address is None:
        return _UNKNOWN
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((int(address), _OWN_IPV6_BITS), strict=False))
