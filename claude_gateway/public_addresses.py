"""Which addresses of the network a caller may make this gateway connect to. Pure.

The one judge of remote images, of MCP servers, and of whatever connects for a caller from now on. It is asked for the
very address that a socket connects to, so no name, redirect or second look-up leads around it.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

HTTPS = 443
# Beside what `is_global` knows, which differs from one Python to the next: addresses for protocols (a cloud keeps its
# metadata there), the old relay of 6to4, and Azure's wire server, which answers its own machines alone.
_NOT_PUBLIC_4 = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))
_PUBLIC_6 = IPv6Network("2000::/3")
# What carries an IPv4 address inside or is no place at all: Teredo and other protocols, 6to4, documentation.
_NOT_PUBLIC_6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))

# Where clouds keep secrets of the machine: what is link-local (AWS, Google, Azure, OpenStack and most others), Oracle's
# old 192.0.0.192, Azure's wire server, Alibaba's, Volcengine's and UCloud's.
_METADATA_4 = tuple(
    map(
        IPv4Network,
        ("169.254.0.0/16", "192.0.0.0/24", "168.63.129.16", "100.100.100.200", "100.96.0.96", "100.80.80.80"),
    )
)
# The same of IPv6: AWS, Google, Oracle, Scaleway, Akamai.
_METADATA_6 = tuple(
    map(
        IPv6Network,
        ("fe80::/10", "fd00:ec2::/32", "fd20:ce::/32", "fd00:c1::/32", "fd00:42::42", "fd00:a9fe:a9fe::/48"),
    )
)
# Of these the addresses that are one place; of a whole network an address of others holds bits by chance.
_ONE_PLACE = frozenset(
    map(
        IPv4Address,
        ("169.254.169.254", "169.254.170.2", "169.254.170.23", "192.0.0.192", "168.63.129.16", "100.100.100.200"),
    )
)
_RESERVED_4 = IPv4Network("240.0.0.0/4")
_6TO4 = IPv6Network("2002::/16")
_TEREDO = IPv6Network("2001::/32")
# The one whose prefix everybody knows, and the one in which each network has prefixes of its own.
_NAT64, _NAT64_OF_ITS_OWN = IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48")
# Of an address that a NAT64 translates, by the length of its prefix: where the IPv4 address begins (RFC 6052).
_NAT64_LENGTHS = (32, 40, 48, 56, 64)
_UNUSED_OCTET = 64  # bits 64 to 71 are skipped
# What stands before the last 32 bits where those are an IPv4 address: nothing, the mark of a mapped and of a translated
# one, and ISATAP's, with and without the bit of a global address.
_BEFORE_LOW = (0, 0xFFFF, 0xFFFF0000)
_ISATAP, _ISATAP_MASK = 0x5EFE, 0xFDFFFFFF


def may_connect(host: str, port: int, *, private: bool) -> bool:
    """Whether a caller may make the gateway connect to an address.

    Args:
        host: An address as a socket has it, with or without a zone. A name is none.
        port: The port.
        private: Whether the operator allows private addresses too. Metadata of clouds they never allow.
    """
    return may_be_private(host) if private else is_public(host, port)


def is_public(host: str, port: int) -> bool:
    """False for whatever is not surely a stranger's HTTPS server: loopback, private and shared networks, link-local,
    multicast, reserved, the metadata services of clouds, and IPv6 that stands for an IPv4 address."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if port != HTTPS or address.is_multicast or address.is_reserved or not address.is_global:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    if address not in _PUBLIC_6 or any(address in network for network in _NOT_PUBLIC_6):
        return False
    return may_be_private(host)  # which also finds what a network translates by a prefix of its own


def may_be_private(host: str) -> bool:
    """False for metadata of clouds, also inside an IPv6 address, and for what is no single place."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return _may_be_private_4(address)
    if address.is_multicast or address.is_unspecified or any(address in network for network in _METADATA_6):
        return False
    return all(map(_may_be_private_4, _inside(address))) and _ONE_PLACE.isdisjoint(_maybe_inside(address))


def _may_be_private_4(address: IPv4Address) -> bool:
    if address.is_multicast or address.is_unspecified or address in _RESERVED_4:
        return False
    return not any(address in network for network in _METADATA_4)


def _inside(address: IPv6Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that an IPv6 address is known to stand for."""
    number = int(address)
    low, before = IPv4Address(number & 0xFFFFFFFF), number >> 32
    if before in _BEFORE_LOW or before & _ISATAP_MASK == _ISATAP:
        yield low
    if address in _6TO4:
        yield IPv4Address(number >> 80 & 0xFFFFFFFF)
    if address in _TEREDO:
        yield IPv4Address(int(low) ^ 0xFFFFFFFF)
        yield IPv4Address(number >> 64 & 0xFFFFFFFF)
    if address in _NAT64:
        yield low
    if address in _NAT64_OF_ITS_OWN:
        yield from (one for one in _maybe_inside(address) if not one.is_unspecified)


def _maybe_inside(address: IPv6Address) -> Iterator[IPv4Address]:
    """Those that it stands for where its network translates addresses by a prefix of its own."""
    number = int(address)
    yield IPv4Address(number & 0xFFFFFFFF)
    bits = f"{number:0128b}"
    for length in _NAT64_LENGTHS:
        behind = bits[length:_UNUSED_OCTET] + bits[_UNUSED_OCTET + 8 :]
        yield IPv4Address(int(behind[:32], 2))
