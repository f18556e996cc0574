"""The rules of a sidecar's pod as text, and that the kernel's own spelling of them is known again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from msgspec import structs

from plait.base import netns
from plait.local import preflight
from plait.node import netfilter, rules, sidecar_rules
from plait.node.rules import Family
from plait.resources.redirection import Redirection

EVERYTHING = Redirection(
    include_outbound=("10.0.0.0/8",),
    exclude_outbound=("10.1.2.3/32",),
    include_outbound_ports=(443,),
    exclude_outbound_ports=(25,),
    include_inbound_ports=(8080,),
    exclude_inbound_ports=(9090,),
)


NO_IPV6 = preflight.ipv6()
TRANSPARENT = Redirection(mode="TPROXY")


def chain(name: str, wanted: Redirection) -> list[str]:
    return list(sidecar_rules.capture(wanted).chains["nat"][name])


def test_inbound() -> None:
    assert chain("ISTIO_INBOUND", Redirection()) == [
        "-p tcp --dport 15008 -j RETURN",
        "-s 169.254.7.127/32 -p tcp -j RETURN",
        "-p tcp --dport 15020 -j RETURN",
        "-p tcp --dport 15021 -j RETURN",
        "-p tcp --dport 15090 -j RETURN",
        "-p tcp -j REDIRECT --to-ports 15006",
    ]


def test_outbound() -> None:
    assert chain("ISTIO_OUTPUT", Redirection()) == [
        "-s 127.0.0.6/32 -o lo -j RETURN",
        "! -d 127.0.0.1/32 -o lo -p tcp ! --dport 15008 -m owner --uid-owner 1337 -j REDIRECT --to-ports 15006",
        "-o lo -m owner ! --uid-owner 1337 -j RETURN",
        "-m owner --uid-owner 1337 -j RETURN",
        "-d 169.254.7.127/32 -p tcp -j RETURN",
        "-d 127.0.0.1/32 -j RETURN",
        "-p tcp -j REDIRECT --to-ports 15001",
    ]


def test_what_annotations_exclude_is_decided_before_what_is_captured() -> None:
    inbound, outbound = chain("ISTIO_INBOUND", EVERYTHING), chain("ISTIO_OUTPUT", EVERYTHING)
    assert "-p tcp --dport 9090 -j RETURN" in inbound
    assert inbound[-1] == "-p tcp --dport 8080 -j REDIRECT --to-ports 15006"
    assert outbound[0] == "-p tcp --dport 25 -j RETURN"
    assert outbound[-3:] == [
        "-d 10.1.2.3/32 -j RETURN",
        "-p tcp --dport 443 -j REDIRECT --to-ports 15001",
        "-d 10.0.0.0/8 -p tcp -j REDIRECT --to-ports 15001",
    ]


def test_nothing_captured() -> None:
    nothing = Redirection(no_inbound=True, no_outbound=True)
    assert not [r for name in ("ISTIO_INBOUND", "ISTIO_OUTPUT") for r in chain(name, nothing) if r.endswith("15001")]
    assert all(r.endswith("RETURN") for r in chain("ISTIO_INBOUND", nothing))


def test_a_transparent_proxy_is_known_by_its_group_and_its_answers_by_a_mark() -> None:
    made = sidecar_rules.capture(TRANSPARENT)
    assert "ISTIO_INBOUND" not in made.chains["nat"], "what comes in keeps its addresses"
    outbound = made.chains["nat"]["ISTIO_OUTPUT"]
    assert "-m owner --gid-owner 1337 -j RETURN" in outbound and not any("uid-owner" in rule for rule in outbound)
    inbound = made.chains["mangle"]["ISTIO_INBOUND"]
    assert inbound[1] == "-p tcp -m mark --mark 0x539 -j RETURN", "before anything else, or the proxy captures itself"
    assert inbound[-2:] == (
        "-p tcp -m conntrack --ctstate RELATED,ESTABLISHED -j ISTIO_DIVERT",
        "-p tcp -j ISTIO_TPROXY",
    )
    assert "-p tcp --dport 15008 -j RETURN" in inbound and "-s 169.254.7.127/32 -p tcp -j RETURN" in inbound
    assert sidecar_rules.route(TRANSPARENT) == rules.PolicyRule(1337, 0xFFFFFFFF, 133)
    assert sidecar_rules.route(Redirection()) is None


@pytest.fixture
def space() -> Iterator[Path]:
    path = Path(f"/run/netns/plt-sidecar-{os.getpid()}")
    netns.create(path)
    yield path
    netns.remove(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a network namespace: needs root")
@pytest.mark.parametrize(
    "wanted",
    [
        Redirection(),
        EVERYTHING,
        Redirection(no_inbound=True, no_outbound=True),
        TRANSPARENT,
        structs.replace(EVERYTHING, mode="TPROXY"),
    ],
)
@pytest.mark.parametrize(
    ("family", "program"),
    [(4, "iptables"), pytest.param(6, "ip6tables", marks=pytest.mark.skipif(bool(NO_IPV6), reason=NO_IPV6))],
)
async def test_the_kernels_spelling_is_the_same_rules_and_what_was_taken_away_comes_back(
    space: Path, wanted: Redirection, family: Family, program: str
) -> None:
    mine = sidecar_rules.capture(wanted, family)
    assert await netfilter.apply(space, mine, family) is True
    assert await netfilter.verify(space, mine, family)
    assert await netfilter.apply(space, mine, family) is False
    await netfilter.command(space, program, "-t", "nat", "-F", "ISTIO_OUTPUT")
    assert not await netfilter.verify(space, mine, family)
    assert await netfilter.apply(space, mine, family) is True
    assert await netfilter.verify(space, mine, family)


@pytest.mark.parametrize("mode", ["REDIRECT", "TPROXY"])
def test_the_other_family_has_the_same_rules_and_ranges_of_its_own(mode: Literal["REDIRECT", "TPROXY"]) -> None:
    words = {
        "169.254.7.127/32": "fd16:9254:7127:1337:ffff:ffff:ffff:ffff/128",
        "127.0.0.6/32": "::6/128",
        "127.0.0.1/32": "::1/128",
        "--on-ip 0.0.0.0": "--on-ip ::",
        "10.0.0.0/8": "fd10::/16",
        "10.1.2.3/32": "fd10::3/128",
    }

    def translated(rule: str) -> str:
        for four_word, six_word in words.items():
            rule = rule.replace(four_word, six_word)
        return rule

    both = structs.replace(
        EVERYTHING,
        mode=mode,
        include_outbound=("10.0.0.0/8", "fd10::/16"),
        exclude_outbound=("10.1.2.3/32", "fd10::3/128"),
    )
    four, six = sidecar_rules.capture(both), sidecar_rules.capture(both, 6)
    assert six.calls == four.calls and six.chains != four.chains
    assert six.chains == {
        table: {chain: tuple(map(translated, lines)) for chain, lines in chains.items()}
        for table, chains in four.chains.items()
    }


def test_ranges_of_one_family_only_capture_nothing_of_the_other() -> None:
    only = sidecar_rules.capture(Redirection(include_outbound=("10.0.0.0/8",)), 6)
    assert not any("15001" in rule for rule in only.chains["nat"]["ISTIO_OUTPUT"])


def test_nobody_takes_them_for_ambient_capture() -> None:
    assert not rules.present(rules.repair("", sidecar_rules.capture(Redirection())))
