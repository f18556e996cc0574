"""Annotations of capture, read."""

from __future__ import annotations

import re

import pytest

from plait.resources.redirection import PREFIX, BadAnnotation, Redirection, redirection


def test_nothing_said_is_everything_captured() -> None:
    assert redirection({}) == Redirection()
    assert redirection({f"{PREFIX}includeOutboundIPRanges": "*", f"{PREFIX}includeInboundPorts": "*"}) == Redirection()
    assert redirection({f"{PREFIX}includeOutboundIPRanges": "0.0.0.0/0"}) == Redirection()


def test_what_is_said() -> None:
    found = redirection(
        {
            f"{PREFIX}includeOutboundIPRanges": "10.0.0.0/8, 192.168.1.7/24,fd00::/8",
            f"{PREFIX}excludeOutboundIPRanges": "10.1.2.3",
            f"{PREFIX}includeOutboundPorts": "443,80,80",
            f"{PREFIX}excludeOutboundPorts": "25",
            f"{PREFIX}includeInboundPorts": "8080",
            f"{PREFIX}excludeInboundPorts": "9090",
        }
    )
    assert found == Redirection(
        include_outbound=("10.0.0.0/8", "192.168.1.0/24", "fd00::/8"),
        exclude_outbound=("10.1.2.3/32",),
        include_outbound_ports=(80, 443),
        exclude_outbound_ports=(25,),
        include_inbound_ports=(8080,),
        exclude_inbound_ports=(9090,),
    )


def test_all_addresses_of_a_family_are_everything_captured_and_two_halves_left_out() -> None:
    for text in ("0.0.0.0/0", "10.0.0.0/8,::/0"):
        assert redirection({f"{PREFIX}includeOutboundIPRanges": text}) == Redirection()
    found = redirection({f"{PREFIX}excludeOutboundIPRanges": "0.0.0.0/0,::/0,fd00::1"})
    assert found.exclude_outbound == ("0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1", "fd00::1/128")


def test_the_way_of_capture() -> None:
    assert redirection({}).mode == "REDIRECT"
    for mode in ("TPROXY", "NONE"):
        assert redirection({"sidecar.istio.io/interceptionMode": mode}).mode == mode


def test_an_empty_list_captures_nothing() -> None:
    found = redirection({f"{PREFIX}includeInboundPorts": "", f"{PREFIX}includeOutboundIPRanges": " "})
    assert (found.no_inbound, found.no_outbound) == (True, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (f"{PREFIX}excludeInboundPorts", "70000"),
        (f"{PREFIX}excludeOutboundIPRanges", "example.com"),
        (f"{PREFIX}excludeOutboundIPRanges", "*"),
        (f"{PREFIX}excludeInboundPorts", "80,*"),
        (f"{PREFIX}includeOutboundPorts", "*"),
        ("sidecar.istio.io/interceptionMode", "MAGIC"),
    ],
)
def test_what_cannot_be_read_is_named(name: str, value: str) -> None:
    with pytest.raises(BadAnnotation, match=re.escape(value.rpartition(",")[2])) as caught:
        redirection({name: value})
    assert caught.value.name == name
