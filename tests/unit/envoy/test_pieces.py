from __future__ import annotations

import pytest

from plait.envoy.pieces import bind_inside_pod, bound, cidr, lookup_family


def at(address: str, port: int) -> dict[str, object]:
    return {"socket_address": {"address": address, "port_value": port}}


@pytest.mark.parametrize("addresses", [(), ("10.0.0.1",)])
def test_without_an_address_of_ipv6_a_listener_is_of_ipv4_alone(addresses: tuple[str, ...]) -> None:
    assert bound(addresses, "0.0.0.0", "::", 80) == {"address": at("0.0.0.0", 80)}


def test_with_one_it_is_reached_by_either_in_one_namespace() -> None:
    made = bound(("10.0.0.1", "fd00::1"), "127.0.0.1", "::1", 80)
    assert made == {"address": at("127.0.0.1", 80), "additional_addresses": [{"address": at("::1", 80)}]}
    inside = bound(("fd00::1",), "127.0.0.1", "::1", 80, "/run/netns/x")
    more = inside["additional_addresses"][0]["address"]["socket_address"]
    assert (
        more["network_namespace_filepath"]
        == "/run/netns/x"
        == inside["address"]["socket_address"]["network_namespace_filepath"]
    )


def test_a_socket_towards_ipv6_begins_at_an_address_of_that_family() -> None:
    assert "extra_source_addresses" not in bind_inside_pod()
    (extra,) = bind_inside_pod(dual=True)["extra_source_addresses"]
    assert extra["address"]["address"] == "::"


def test_a_bare_address_is_a_range_of_one() -> None:
    assert [cidr(text)["prefix_len"] for text in ("10.0.0.1", "fd00::1", "10.0.0.0/8", "fd00::/48")] == [32, 128, 8, 48]


def test_names_are_looked_up_as_what_the_proxy_can_reach() -> None:
    assert lookup_family(("10.0.0.1", "fd00::1")) == lookup_family(()) == "V4_PREFERRED"
    assert lookup_family(("fd00::1",)) == "V6_ONLY"
