"""The rule sets as text, and the steps from what is there to them."""

from __future__ import annotations

from pathlib import Path

from plait.model.views.datagrams import CLOSED, OPEN, Datagrams
from plait.node import rules
from plait.node.forms import Target

GOLDEN = """*raw
:ISTIO_OUTPUT - [0:0]
-A ISTIO_OUTPUT -o lo -p tcp -m mark --mark 0x539/0xfff -j CT --zone-orig 2
-A OUTPUT -j ISTIO_OUTPUT
COMMIT
*mangle
:ISTIO_PRERT - [0:0]
:ISTIO_OUTPUT - [0:0]
-A ISTIO_OUTPUT -m connmark --mark 0x111/0xfff -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff
-A ISTIO_PRERT -m mark --mark 0x539/0xfff -j CONNMARK --set-xmark 0x111/0xfff
-A OUTPUT -j ISTIO_OUTPUT
-A PREROUTING -j ISTIO_PRERT
COMMIT
*nat
:ISTIO_PRERT - [0:0]
:ISTIO_OUTPUT - [0:0]
-A ISTIO_OUTPUT -d 169.254.7.127/32 -p tcp -j ACCEPT
-A ISTIO_OUTPUT -p tcp -m mark --mark 0x111/0xfff -j ACCEPT
-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -j ACCEPT
-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -p tcp -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 15001
-A ISTIO_PRERT -s 169.254.7.127/32 -p tcp -j ACCEPT
-A ISTIO_PRERT ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 15006
-A OUTPUT -j ISTIO_OUTPUT
-A PREROUTING -j ISTIO_PRERT
COMMIT
"""


def ordered(text: str) -> list[str]:
    """Chain declarations may come in any order; rules may not."""
    return sorted(line for line in text.splitlines() if line.startswith(":")) + [
        line for line in text.splitlines() if not line.startswith(":")
    ]


def test_capture_of_an_empty_namespace_is_istios_rules() -> None:
    assert ordered(rules.repair("", rules.capture())) == ordered(GOLDEN)


def test_what_iptables_prints_in_its_own_order_is_the_same_rule() -> None:
    saved = GOLDEN.replace("-p tcp ! --dport 15008 -m mark", "-p tcp -m tcp ! --dport 15008 -m mark")
    assert rules.matches(saved, rules.capture())


def test_negation_makes_another_rule() -> None:
    assert rules.canonical("! -d 1.2.3.4/32 -j ACCEPT") != rules.canonical("-d 1.2.3.4/32 -j ACCEPT")


def test_order_within_a_chain_counts() -> None:
    lines = GOLDEN.splitlines()
    at = lines.index("-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -j ACCEPT")
    lines[at], lines[at + 1] = lines[at + 1], lines[at]
    assert not rules.matches("\n".join(lines), rules.capture())


def test_a_second_call_of_our_chain_is_taken_out() -> None:
    twice = GOLDEN.replace("-A OUTPUT -j ISTIO_OUTPUT\n", "-A OUTPUT -j ISTIO_OUTPUT\n" * 2)
    steps = rules.repair(twice, rules.capture()).splitlines()
    assert steps.count("-D OUTPUT -j ISTIO_OUTPUT") == 6 and steps.count("-A OUTPUT -j ISTIO_OUTPUT") == 3


def test_removal_leaves_foreign_rules_alone() -> None:
    steps = rules.repair(GOLDEN.replace("*nat\n", "*nat\n-A OUTPUT -d 9.9.9.9/32 -j ACCEPT\n"), rules.NONE)
    assert "9.9.9.9" not in steps
    assert "-X ISTIO_PRERT" in steps and "-A" not in steps


def test_released_pod_redirects_nothing_but_keeps_the_answers_mark_and_the_proxys_zone() -> None:
    kept = rules.released()
    assert "nat" not in kept.chains
    assert all(kept.chains[table] == rules.capture().chains[table] for table in ("mangle", "raw"))


def test_node_exempts_each_captured_pod_and_drops_forged_probe_sources() -> None:
    wanted = rules.node(["10.64.1.5", "10.64.1.4", "10.64.1.5"])
    assert [rule.split()[1] for rule in wanted.chains["nat"]["ISTIO_POSTRT"]] == ["10.64.1.4/32", "10.64.1.5/32"]
    assert wanted.chains["raw"]["ISTIO_GUARD"] == ("-s 169.254.7.127/32 -j DROP",)


def test_a_sidecars_chains_are_not_taken_for_ours() -> None:
    assert not rules.present("*nat\n:ISTIO_OUTPUT - [0:0]\n:ISTIO_INBOUND - [0:0]\nCOMMIT\n")
    assert rules.present(GOLDEN)


def test_an_open_pod_has_no_filter_and_a_closed_one_lets_in_its_node_and_answers_only() -> None:
    assert "filter" not in rules.capture(others=OPEN).chains
    chain = rules.capture(others=CLOSED, node="10.64.255.11").chains["filter"]["ISTIO_INPUT"]
    assert chain[:2] == ("-i lo -j RETURN", "-s 10.64.255.11/32 -j RETURN")
    assert "--ctdir REPLY" in chain[-2] and chain[-1] == "! -p tcp -j DROP"
    assert not any("-p tcp" in rule and not rule.startswith("! -p tcp") for rule in chain), (
        "TCP is the proxy's business"
    )


def test_ports_are_the_exceptions_to_either_verdict() -> None:
    closed = rules.datagrams(Datagrams(True, (53, 54)), "-d 10.64.1.2/32")
    assert [rule for rule in closed if "--dport" in rule] == [
        "-d 10.64.1.2/32 -p udp --dport 53 -j RETURN",
        "-d 10.64.1.2/32 -p udp --dport 54 -j RETURN",
    ]
    assert all(rule.startswith("-d 10.64.1.2/32 ") for rule in closed)
    opened = rules.datagrams(Datagrams(False, (53,)))
    assert opened[-1] == "-p udp --dport 53 -j DROP" and "! -p tcp -j DROP" not in opened


def test_the_other_family_has_the_same_rules_in_its_own_words() -> None:
    words = {
        "169.254.7.127/32": "fd16:9254:7127:1337:ffff:ffff:ffff:ffff/128",
        "127.0.0.1/32": "::1/128",
        "10.64.255.11/32": "fd70::b/128",
        "-p icmp": "-p ipv6-icmp",
    }

    def translated(rule: str) -> str:
        for four, six in words.items():
            rule = rule.replace(four, six)
        return rule

    four = rules.capture(4, dns=True, others=CLOSED, node="10.64.255.11")
    six = rules.capture(6, dns=True, others=CLOSED, node="fd70::b")
    assert six.calls == four.calls
    assert six.chains == {
        table: {chain: tuple(map(translated, lines)) for chain, lines in chains.items()}
        for table, chains in four.chains.items()
    }
    assert six.chains != four.chains


def test_a_released_pod_is_open_again_and_ipv6_has_no_way_but_its_own_loopback() -> None:
    assert "filter" not in rules.released().chains
    assert rules.sealed().chains == {"raw": {"ISTIO_PRERT": ("! -i lo -j DROP",), "ISTIO_OUTPUT": ("! -o lo -j DROP",)}}


def test_capture_takes_the_families_that_a_pod_has_and_what_it_lacks_is_shut() -> None:
    def pod(*addresses: str) -> Target:
        return Target("u", "shop", "web", "default", Path("/nowhere"), addresses)

    found = [pod("10.0.0.2"), pod("10.0.0.2", "fd00::2"), pod("fd00::2")]
    assert [(each.families, each.shut) for each in found] == [((4,), (6,)), ((4, 6), ()), ((6,), (4,))]
