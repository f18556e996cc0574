"""Names that carry meaning can be read back."""

from __future__ import annotations

import pytest

from plait.envoy import names


@pytest.mark.parametrize(("address", "port"), [("10.0.0.1", 80), ("fd00::1", 65535)])
def test_an_on_demand_name_says_its_destination(address: str, port: int) -> None:
    assert names.destination_of(names.on_demand(address, port)) == (address, port)


@pytest.mark.parametrize("name", ["", "out|", "out|x:80", "out|10.0.0.1", "out|10.0.0.1:0", "out|1.1.1.1:99999", "web"])
def test_another_name_is_no_destination(name: str) -> None:
    assert names.destination_of(name) is None


def test_every_name_of_a_pod_leads_back_to_it() -> None:
    made = (
        names.outbound_listener,
        names.hbone_listener,
        names.plaintext_listener,
        names.inbound_route,
        names.deny_filter,
        names.allow_filter,
    )
    assert {names.pod_of(make("some-uid")) for make in made} == {"some-uid"}
    assert names.pod_of(names.TUNNEL_LISTENER) is None
    assert names.pod_of("out|10.0.0.1:80") is None
