"""Which addresses of the network a caller may make this gateway connect to: those of the public internet. Pure."""

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address

HTTPS = 443
# Beside what `is_global` knows, which differs from one Python to the next: addresses for protocols (a cloud keeps its
# metadata there), the old relay of 6to4, and Azure's wire server, which answers its own machines alone.
_NOT_PUBLIC_4 = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))
_PUBLIC_6 = IPv6Network("2000::/3")
# What carries an IPv4 address inside or is no place at all: Teredo and other protocols, 6to4, documentation.
_NOT_PUBLIC_6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))


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
    return address in _PUBLIC_6 and not any(address in network for network in _NOT_PUBLIC_6)
