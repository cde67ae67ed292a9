"""Check whether the gateway may connect to an IP address for a client. No I/O.

The gateway uses this check for the URLs of images and for MCP servers. It must check the address to which a socket
connects, and not an address from an earlier lookup, so that a client cannot bypass the check with a host name or a
redirect.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

HTTPS_PORT = 443
# Networks that are not public, but that `is_global` accepts in some Python versions: protocol assignments (one cloud
# has its metadata service there), the former 6to4 relay, and Azure's wire server, which only Azure's machines can
# reach.
_NON_PUBLIC_IPV4 = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))
_PUBLIC_IPV6 = IPv6Network("2000::/3")
# Networks whose addresses contain an IPv4 address or belong to no host: Teredo and other protocols, 6to4, and addresses
# for documentation.
_NON_PUBLIC_IPV6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))

# IPv4 addresses of the metadata services of clouds. These services return secrets of the machine. The addresses are the
# link-local ones (AWS, Google, Azure, OpenStack and most others), Oracle's former 192.0.0.192, Azure's wire server, and
# the addresses that Alibaba, Volcengine and UCloud use.
_METADATA_IPV4 = tuple(
    map(
        IPv4Network,
        ("169.254.0.0/16", "192.0.0.0/24", "168.63.129.16", "100.100.100.200", "100.96.0.96", "100.80.80.80"),
    )
)
# IPv6 addresses of metadata services: AWS, Google, Oracle, Scaleway, Akamai.
_METADATA_IPV6 = tuple(
    map(
        IPv6Network,
        ("fe80::/10", "fd00:ec2::/32", "fd20:ce::/32", "fd00:c1::/32", "fd00:42::42", "fd00:a9fe:a9fe::/48"),
    )
)
# The metadata services that have a single IPv4 address. In NAT64 addresses with an unknown prefix, the filter searches
# only for these addresses, because a NAT64 address may contain an address from a larger network by chance.
_METADATA_HOSTS_IPV4 = frozenset(
    map(
        IPv4Address,
        ("169.254.169.254", "169.254.170.2", "169.254.170.23", "192.0.0.192", "168.63.129.16", "100.100.100.200"),
    )
)
_RESERVED_IPV4 = IPv4Network("240.0.0.0/4")
_6TO4 = IPv6Network("2002::/16")
_TEREDO = IPv6Network("2001::/32")
# The well-known NAT64 prefix, and the range from which networks choose their own prefixes.
_NAT64, _NAT64_LOCAL_USE = IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48")
# Possible lengths of a NAT64 prefix (RFC 6052). The IPv4 address begins after the prefix.
_NAT64_PREFIX_BITS = (32, 40, 48, 56, 64)
_NAT64_UNUSED_OCTET_BIT = 64  # the IPv4 address does not use bits 64 to 71
# The first 96 bits of IPv6 addresses whose last 32 bits are an IPv4 address: zero, and the prefixes of IPv4-mapped and
# IPv4-translated addresses. ISATAP addresses have a prefix in bits 64 to 95, with or without the bit for global
# addresses.
_EMBEDDED_IPV4_PREFIXES = (0, 0xFFFF, 0xFFFF0000)
_ISATAP_PREFIX, _ISATAP_MASK = 0x5EFE, 0xFDFFFFFF


def is_address_allowed(host: str, port: int, *, allow_private: bool) -> bool:
    """Return whether the gateway may connect to an address for a client.

    Args:
        host: Address as the socket module returns it, with or without a zone. For a name, the result is False.
        port: Port.
        allow_private: Whether the operator allows private addresses. The gateway never connects to the metadata
            services of clouds.
    """
    return is_allowed_with_private(host) if allow_private else is_public(host, port)


def is_public(host: str, port: int) -> bool:
    """Return whether a connection certainly leads to the HTTPS port of a host on the public internet.

    The result is False for loopback, private, shared, link-local, multicast and reserved addresses, for the metadata
    services of clouds, and for IPv6 addresses that contain an IPv4 address.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if port != HTTPS_PORT or address.is_multicast or address.is_reserved or not address.is_global:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NON_PUBLIC_IPV4)
    if address not in _PUBLIC_IPV6 or any(address in network for network in _NON_PUBLIC_IPV6):
        return False
    return is_allowed_with_private(host)  # also rejects metadata addresses in NAT64 addresses


def is_allowed_with_private(host: str) -> bool:
    """Return whether the gateway may connect to an address if the operator allows private addresses.

    The result is False for the metadata services of clouds, for IPv6 addresses that contain the IPv4 address of such a
    service, and for addresses that do not belong to one host.
    """
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return _is_ipv4_allowed_with_private(address)
    if address.is_multicast or address.is_unspecified or any(address in network for network in _METADATA_IPV6):
        return False
    return all(map(_is_ipv4_allowed_with_private, _embedded_ipv4(address))) and _METADATA_HOSTS_IPV4.isdisjoint(
        _possible_nat64_ipv4(address)
    )


def _is_ipv4_allowed_with_private(address: IPv4Address) -> bool:
    if address.is_multicast or address.is_unspecified or address in _RESERVED_IPV4:
        return False
    return not any(address in network for network in _METADATA_IPV4)


def _embedded_ipv4(address: IPv6Address) -> Iterator[IPv4Address]:
    """Yield the IPv4 addresses that an IPv6 address contains according to a standard such as 6to4 or Teredo."""
    number = int(address)
    low, prefix = IPv4Address(number & 0xFFFFFFFF), number >> 32
    if prefix in _EMBEDDED_IPV4_PREFIXES or prefix & _ISATAP_MASK == _ISATAP_PREFIX:
        yield low
    if address in _6TO4:
        yield IPv4Address(number >> 80 & 0xFFFFFFFF)
    if address in _TEREDO:
        yield IPv4Address(int(low) ^ 0xFFFFFFFF)
        yield IPv4Address(number >> 64 & 0xFFFFFFFF)
    if address in _NAT64:
        yield low
    if address in _NAT64_LOCAL_USE:
        yield from (ipv4 for ipv4 in _possible_nat64_ipv4(address) if not ipv4.is_unspecified)


def _possible_nat64_ipv4(address: IPv6Address) -> Iterator[IPv4Address]:
    """Yield the IPv4 addresses to which a NAT64 gateway may translate an IPv6 address.

    A network may use its own NAT64 prefix. The gateway does not know the length of this prefix, so the function yields
    one address for each possible length.
    """
    number = int(address)
    yield IPv4Address(number & 0xFFFFFFFF)
    bits = f"{number:0128b}"
    for length in _NAT64_PREFIX_BITS:
        suffix = bits[length:_NAT64_UNUSED_OCTET_BIT] + bits[_NAT64_UNUSED_OCTET_BIT + 8 :]
        yield IPv4Address(int(suffix[:32], 2))
