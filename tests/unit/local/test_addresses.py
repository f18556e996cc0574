from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from hypothesis import given
from hypothesis import strategies as st

from plait.local.addresses import FAMILIES, AddressPlan

SINGLE, DUAL, SIX = (AddressPlan(75, families) for families in FAMILIES)
OWN = st.integers(min_value=10 << 24, max_value=(11 << 24) - 1).map(IPv4Address)


def test_the_same_numbers_stand_in_both_addresses() -> None:
    assert DUAL.addresses(DUAL.pods(2)[3]) == (IPv4Address("10.75.2.3"), IPv6Address("fd70:6c61:6974:4b02::3"))
    assert SINGLE.addresses(SINGLE.pods(2)[3]) == (IPv4Address("10.75.2.3"),)
    assert SIX.addresses(SIX.pods(2)[3]) == (SIX.first(SIX.pods(2)[3]),) == (IPv6Address("fd70:6c61:6974:4b02::3"),)


@given(OWN)
def test_each_address_can_be_told_from_the_one_beside(address: IPv4Address) -> None:
    assert AddressPlan.origin(AddressPlan.beside(address)) == address


@given(OWN, st.integers(min_value=8, max_value=24))
def test_the_range_beside_holds_exactly_the_addresses_beside(address: IPv4Address, length: int) -> None:
    network = IPv4Network((address, length), strict=False)
    beside = AddressPlan.range_beside(network)
    assert AddressPlan.beside(address) in beside
    assert AddressPlan.beside(network[-1]) in beside
    if network[-1] != IPv4Address("10.255.255.255"):
        assert AddressPlan.beside(network[-1] + 1) not in beside


def test_what_node_proxies_look_up_is_of_the_mesh_s_families() -> None:
    assert SINGLE.ranges == ("10.75.0.0/16", "240.240.0.0/16")
    assert DUAL.ranges == ("10.75.0.0/16", "fd70:6c61:6974:4b00::/56", "240.240.0.0/16", "2001:2::/48")
    assert SIX.ranges == ("fd70:6c61:6974:4b00::/56", "2001:2::/48")
    assert DUAL.each(DUAL.services) == (IPv4Network("10.75.128.0/18"), IPv6Network("fd70:6c61:6974:4b80::/58"))


def test_the_wires_of_every_mesh_have_ipv4() -> None:
    assert SINGLE.wires == SINGLE
    assert SIX.wires == DUAL.wires == DUAL
