"""Addresses that the gateway may connect to for a client, and every kind of forbidden address."""

import pytest

from claude_gateway.net.public_ip import is_address_allowed, is_public

INTERNAL = {
    "loopback": ["127.0.0.1", "127.8.9.10", "::1"],
    "this host": ["0.0.0.0", "0.1.2.3", "::"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12:3456::1"],
    "link-local": ["169.254.1.1", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1"],
    "shared by customers of a carrier": ["100.64.0.1", "100.127.255.255"],
    "metadata of clouds": ["169.254.169.254", "169.254.170.2", "fd00:ec2::254", "100.100.100.200", "192.0.0.192"],
    "metadata behind a public address": ["168.63.129.16"],
    "multicast": ["224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1"],
    "reserved": ["240.0.0.1", "255.255.255.255", "192.0.0.8", "198.18.0.1", "192.88.99.1", "100::1", "4000::1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "IPv4 inside IPv6": ["::ffff:127.0.0.1", "::ffff:8.8.8.8", "::8.8.8.8", "::ffff:0:8.8.8.8"],
    "NAT64": ["64:ff9b::7f00:1", "64:ff9b::8.8.8.8", "64:ff9b:1::a00:1"],
    "6to4 and Teredo": ["2002:7f00:1::", "2002:808:808::1", "2001:0:a00:1::1"],
    "no address": ["localhost", "", "0x7f.1", "2130706433", "127.1", "8.8.8.8.", "8.8.8.8:443"],
}


@pytest.mark.promise("fetch.public-only")
@pytest.mark.parametrize(
    ("kind", "address"), [(kind, address) for kind, addresses in INTERNAL.items() for address in addresses]
)
def test_rejects_address_that_is_not_certainly_public(kind: str, address: str) -> None:
    assert not is_public(address, 443)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1", "2a00:1450::1"])
def test_accepts_public_address_for_https_only(address: str) -> None:
    assert is_public(address, 443)
    assert not any(is_public(address, port) for port in (22, 80, 8443, 6379))


METADATA = {
    "link-local": ["169.254.169.254", "169.254.170.2", "169.254.0.23", "169.254.42.42", "169.254.1.1"],
    "Oracle, Azure, Alibaba, Volcengine, UCloud": [
        *("192.0.0.192", "168.63.129.16", "100.100.100.200", "100.96.0.96", "100.80.80.80"),
    ],
    "IPv6": [
        *("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42", "fd00:a9fe:a9fe::1"),
        *("fe80::a9fe:a9fe", "fe80::a9fe:a9fe%eth0", "fd00:ec2::254%1"),
    ],
    "mapped": [
        "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe",
        "::ffff:a9fe:1",
        "::ffff:6464:64c8",
        "::ffff:a83f:8110%lo",
    ],
    "compatible, translated": ["::169.254.169.254", "::a9fe:a9fe", "::ffff:0:a9fe:a9fe"],
    "NAT64": [
        *("64:ff9b::a9fe:a9fe", "64:ff9b::169.254.170.2", "64:ff9b:1::a9fe:a9fe", "64:ff9b:1:a9fe:a9:fe00::"),
        *("64:ff9b:1:ffa9:fe:a9fe::", "64:ff9b:1:ffff:a9:fea9:fe00:0"),
    ],
    "NAT64 with the prefix of a network": ["2001:db8:64::a9fe:a9fe", "fd64:1:a9fe:a9fe::", "2a00:1:2:3:a9:fea9:fe00:0"],
    "6to4": ["2002:a9fe:a9fe::1", "2002:a83f:8110::"],
    "Teredo": ["2001:0:8080:8080::5601:5601", "2001:0:a9fe:a9fe::1"],
    "ISATAP": ["fd12::5efe:a9fe:a9fe", "2606:4700::200:5efe:a9fe:1"],
    "not one host": [
        "0.0.0.0",
        "::",
        "::ffff:0.0.0.0",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "::ffff:240.0.0.1",
    ],
    "no address": ["", "localhost", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"],
}
PRIVATE = [
    *("127.0.0.1", "10.0.0.5", "172.17.0.1", "192.168.1.1", "100.64.0.1", "8.8.8.8"),
    *("::1", "fd12:3456::1", "fd12:3456::1%eth0", "2606:4700::1", "::ffff:127.0.0.1", "::ffff:10.1.2.3"),
    *("64:ff9b::10.0.0.1", "64:ff9b:1::a00:1", "2002:a00:1::1", "fd00:ec3::1"),
]


@pytest.mark.promise("addresses.metadata")
@pytest.mark.parametrize(
    ("kind", "address"), [(kind, address) for kind, addresses in METADATA.items() for address in addresses]
)
@pytest.mark.parametrize("port", [80, 443, 8080])
def test_rejects_cloud_metadata_even_if_private_addresses_are_allowed(kind: str, address: str, port: int) -> None:
    assert not is_address_allowed(address, port, allow_private=True)
    assert not is_address_allowed(address, port, allow_private=False)


@pytest.mark.parametrize("address", PRIVATE)
def test_accepts_other_private_addresses_if_allowed(address: str) -> None:
    assert is_address_allowed(address, 8080, allow_private=True)
    assert not is_address_allowed(address, 8080, allow_private=False)
