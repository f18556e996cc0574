"""The classic rules as data: marks and order are a contract with Istio's first ambient redirection."""

from __future__ import annotations

from dataclasses import replace

from plait.model.views.datagrams import OPEN
from plait.node import rules
from plait.node.classic import plan
from plait.node.classic.plan import Plan

PLAN = Plan("10.99.255.11", "10.99.1.1", frozenset({"10.99.1.5", "10.99.1.6"}), names=frozenset({"10.99.1.5"}))


def mangle() -> tuple[str, ...]:
    return plan.node_rules(PLAN).chains["mangle"]["ztunnel-PREROUTING"]


def test_only_packets_that_nobody_claimed_before_are_marked_outbound() -> None:
    assert mangle()[-1] == "-p tcp -m set --match-set ztunnel-pods-ips src -j MARK --set-xmark 0x100/0x100"


def test_what_the_proxy_sends_in_a_pods_name_never_enters_the_proxy_again() -> None:
    lines = mangle()
    spoofed = lines.index("-i zt ! -s 10.99.1.1/32 -j MARK --set-xmark 0x210/0x210")
    assert lines[spoofed + 1] == "-m mark --mark 0x200/0x200 -j RETURN"
    assert spoofed < len(lines) - 1


def test_policies_and_tables_are_those_of_the_ten_steps() -> None:
    assert [(p.priority, p.mark, p.action) for p in plan.NODE_POLICIES] == [
        (100, "0x200/0x200", "goto 32766"),
        (101, "0x100/0x100", "lookup 101"),
        (102, "0x40/0x40", "lookup 102"),
        (103, "", "lookup 100"),
    ]
    routes = plan.node_routes(PLAN)
    assert routes[100] == tuple(f"10.99.1.{n} via 192.168.126.2 dev istioin src 10.99.255.11" for n in (5, 6))
    assert routes[101][0] == "default via 192.168.127.2 dev istioout"
    assert routes[102][0] == "default via 10.99.1.1 dev zt onlink"


def test_tproxy_sends_tunnels_plaintext_and_outbound_to_their_ports() -> None:
    lines = plan.proxy_rules(PLAN).chains["mangle"]["ztunnel-PREROUTING"]
    ports = [line.split("--on-port ")[1].split()[0] for line in lines if "TPROXY" in line and "pistio" in line]
    assert ports == ["15008", "15001", "15006"]


def test_every_captured_pod_is_guarded_both_ways_against_packets_without_a_mark() -> None:
    guard = plan.node_rules(PLAN).chains["filter"]["ztunnel-FORWARD"]
    for pod in PLAN.pods:
        assert [line for line in guard if f"-s {pod}/32" in line and line.endswith("DROP")]
        assert [line for line in guard if f"-d {pod}/32" in line and line.endswith("DROP")]


def test_node_chains_come_first_and_leave_in_pod_and_other_chains_alone() -> None:
    saved = "*nat\n:PREROUTING ACCEPT [0:0]\n:ISTIO_PRERT - [0:0]\n-A PREROUTING -j ISTIO_PRERT\nCOMMIT\n"
    steps = rules.repair(saved, plan.node_rules(PLAN), "ztunnel-")
    assert "-I PREROUTING 1 -j ztunnel-PREROUTING" in steps
    assert "ISTIO" not in steps


def test_what_is_not_tcp_enters_a_pod_as_judged_and_an_unjudged_one_not_at_all() -> None:
    judged = replace(PLAN, inbound={"10.99.1.5": OPEN})
    guard = plan.node_rules(judged).chains["filter"]["ztunnel-FORWARD"]
    assert [line for line in guard if "! -p tcp" in line and line.endswith("DROP")] == [
        "-d 10.99.1.6/32 ! -p tcp -j DROP"
    ]


def test_questions_of_pods_whose_names_are_captured_go_to_the_resolver_and_nowhere_else() -> None:
    chains = plan.node_rules(PLAN).chains
    by_tcp = mangle().index("-p tcp --dport 53 -m set --match-set ztunnel-dns-ips src -j MARK --set-xmark 0x220/0x220")
    assert mangle()[by_tcp + 1] == "-m mark --mark 0x200/0x200 -j RETURN", "before TCP is marked outbound"
    sent = [line for line in chains["nat"]["ztunnel-PREROUTING"] if "DNAT" in line]
    assert len(sent) == 2 and all("! -i zt" in line and line.endswith(" 10.99.1.1:15053") for line in sent)
    for chain in ("ztunnel-INPUT", "ztunnel-FORWARD"):
        dropped = [line for line in chains["filter"][chain] if "--dport 53" in line]
        assert len(dropped) == 2 and all(line.startswith("-s 10.99.1.5/32 ! -i zt") for line in dropped)
        assert all(line.endswith("-j DROP") for line in dropped)


def test_the_other_family_has_the_same_steps_in_tables_and_sets_of_its_own() -> None:
    six = Plan("fd99:ff::b", "fd99:1::1", frozenset({"fd99:1::5", "fd99:1::6"}), names=frozenset({"fd99:1::5"}))
    words = {
        "10.99.1.1:15053": "[fd99:1::1]:15053",
        "10.99.255.11/32": "fd99:ff::b/128",
        "10.99.1.1/32": "fd99:1::1/128",
        "10.99.1.5/32": "fd99:1::5/128",
        "10.99.1.6/32": "fd99:1::6/128",
        "10.99.255.11": "fd99:ff::b",
        "10.99.1.1 ": "fd99:1::1 ",
        "10.99.1.5": "fd99:1::5",
        "10.99.1.6": "fd99:1::6",
        "192.168.126.": "fd16:9254:7127:126::",
        "192.168.127.": "fd16:9254:7127:127::",
        "ztunnel-pods-ips": "ztunnel-pods-ips6",
        "ztunnel-dns-ips": "ztunnel-dns-ips6",
        "--on-ip 127.0.0.1": "--on-ip ::1",
        "-p icmp": "-p ipv6-icmp",
        " scope link": "",
        " scope host": "",
    }

    def translated(line: str) -> str:
        for four_word, six_word in words.items():
            line = line.replace(four_word, six_word)
        return line

    for made in (plan.node_rules, plan.proxy_rules):
        four_rules, six_rules = made(PLAN), made(six)
        assert six_rules.calls == four_rules.calls
        for table, chains in four_rules.chains.items():
            for chain, lines in chains.items():
                assert six_rules.chains[table][chain] == tuple(map(translated, lines))
    for four_routes, six_routes in (
        (plan.node_routes(PLAN), plan.node_routes(six)),
        (plan.proxy_routes(4), plan.proxy_routes(6)),
    ):
        assert six_routes == {table: tuple(map(translated, lines)) for table, lines in four_routes.items()}
