"""The rule sets as text, and the steps from what is there to them."""

from __future__ import annotations

from plait.node import rules

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
