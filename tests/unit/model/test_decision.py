"""What policies say of one flow, by the protocol's rules; and that the proxy's form of a policy says the same."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.base import spiffe
from plait.envoy import authz
from plait.model.decision import Decision, Flow, decide, matches
from plait.model.policies import Account, Group, Match, Policy, Range, Rule, Text

SLEEP = "spiffe://cluster.local/ns/shop/sa/sleep"
FLOW = Flow(SLEEP, "10.0.0.1", "10.0.0.2", 8080)
PLAIN = Flow("", "10.0.0.1", "10.0.0.2", 8080)


def policy(action: str, *groups: Group, name: str = "p", dry_run: bool = False) -> Policy:
    return Policy(name, "shop", "namespace", action, groups, dry_run)  # type: ignore[arg-type]


def one(match: Match) -> Group:
    return Group((Rule((match,)),))


def test_nothing_said_lets_everybody_in() -> None:
    assert decide([], FLOW) == Decision(True)


def test_a_deny_that_matches_wins_over_an_allow_and_is_named() -> None:
    everything = one(Match(not_destination_ports=(1,)))
    policies = [policy("allow", everything, name="a"), policy("deny", everything, name="d")]
    assert decide(policies, FLOW) == Decision(False, "shop/d")


def test_one_allow_closes_the_door_to_everybody_else() -> None:
    allow = policy("allow", one(Match(principals=(Text("exact", "cluster.local/ns/shop/sa/sleep"),))))
    assert decide([allow], FLOW) == Decision(True, "shop/p")
    assert decide([allow], PLAIN) == Decision(False)


def test_an_allow_without_groups_lets_nobody_in() -> None:
    assert decide([policy("allow")], FLOW) == Decision(False)


def test_a_dry_run_decides_nothing() -> None:
    assert decide([policy("allow", dry_run=True), policy("deny", Group(), dry_run=True)], FLOW).allowed


def test_a_group_without_rules_and_a_rule_without_matches_are_true() -> None:
    assert matches(policy("deny", Group()), FLOW)
    assert matches(policy("deny", Group((Rule(),))), FLOW)


def test_an_empty_match_never_matches() -> None:
    assert not matches(policy("deny", one(Match())), FLOW)


def test_strict_is_a_deny_of_peers_without_principal() -> None:
    strict = policy("deny", one(Match(not_principals=(Text("presence"),))))
    assert decide([strict], FLOW).allowed
    assert not decide([strict], PLAIN).allowed


def test_a_missing_identity_compares_as_the_empty_string_but_is_no_service_account() -> None:
    assert matches(policy("deny", one(Match(namespaces=(Text("prefix", ""),)))), PLAIN)
    assert not matches(policy("deny", one(Match(accounts=(Account("", ""),)))), PLAIN)
    assert matches(policy("deny", one(Match(not_accounts=(Account("shop", "sleep"),)))), PLAIN)


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        (Match(namespaces=(Text("exact", "shop"),)), True),
        (Match(not_namespaces=(Text("exact", "shop"),)), False),
        (Match(principals=(Text("suffix", "/sa/sleep"),)), True),
        (Match(accounts=(Account("shop", "sleep"),)), True),
        (Match(accounts=(Account("other", "sleep"),)), False),
        (Match(source_ips=(Range("10.0.0.0", 24),)), True),
        (Match(source_ips=(Range("fd00::", 8),)), False),
        (Match(not_source_ips=(Range("10.0.0.0", 24),)), False),
        (Match(destination_ips=(Range("10.0.0.2", 32),)), True),
        (Match(destination_ports=(80, 8080)), True),
        (Match(not_destination_ports=(80, 8080)), False),
        (Match(destination_ports=(8080,), principals=(Text("exact", "somebody"),)), False),
    ],
)
def test_fields_of_a_match_are_all_needed_and_values_are_alternatives(match: Match, expected: bool) -> None:
    assert matches(policy("deny", one(match)), FLOW) is expected


# The same answer as the formula that the proxy's rules are made of ---

TEXTS = st.builds(
    Text,
    st.sampled_from(["exact", "prefix", "suffix", "presence"]),
    st.sampled_from(["shop", "s", "cluster.local/ns/shop/sa/sleep", "cluster.local/", "/sa/sleep"]),
)
RANGES = st.sampled_from([Range("10.0.0.0", 24), Range("10.0.0.1", 32), Range("10.9.0.0", 16), Range("fd00::", 8)])
ACCOUNTS = st.builds(Account, st.sampled_from(["shop", "bank"]), st.sampled_from(["sleep", "till"]))
PORTS = st.sampled_from([80, 8080])
some = lambda values: st.lists(values, max_size=2).map(tuple)  # noqa: E731
MATCHES = st.builds(
    Match,
    **{f"{sign}{key}": some(TEXTS) for sign in ("", "not_") for key in ("namespaces", "principals")},
    **{f"{sign}{key}": some(RANGES) for sign in ("", "not_") for key in ("source_ips", "destination_ips")},
    **{f"{sign}destination_ports": some(PORTS) for sign in ("", "not_")},
    **{f"{sign}accounts": some(ACCOUNTS) for sign in ("", "not_")},
)
GROUPS = st.builds(Group, some(st.builds(Rule, some(MATCHES))))
POLICIES = st.builds(lambda groups: policy("deny", *groups), st.lists(GROUPS, max_size=3))
FLOWS = st.builds(
    Flow,
    st.sampled_from(["", SLEEP, "spiffe://other/ns/bank/sa/till"]),
    st.sampled_from(["10.0.0.1", "10.9.8.7", "fd00::1"]),
    st.sampled_from(["10.0.0.2", "fd00::2"]),
    PORTS,
)


def atom(found: authz.Atom, flow: Flow) -> bool:
    identity = spiffe.parse(flow.principal) if flow.principal else None
    match found:
        case authz.Principal(test):
            return test.holds(flow.principal.removeprefix("spiffe://"))
        case authz.Namespace(test):
            return test.holds(identity.namespace if identity else "")
        case authz.ServiceAccount(account):
            return identity is not None and Account(identity.namespace, identity.service_account) == account
        case authz.Source(block):
            return ip_address(flow.source) in ip_network(f"{block.address}/{block.length}")
        case authz.Target(block):
            return ip_address(flow.destination) in ip_network(f"{block.address}/{block.length}")
        case authz.Port(number):
            return number == flow.port
    raise AssertionError(found)


@given(POLICIES, FLOWS)
def test_the_decision_agrees_with_the_formula_of_the_proxys_rules(written: Policy, flow: Flow) -> None:
    formula = authz.resolve(authz.matches(written), lambda found: atom(found, flow))
    assert matches(written, flow) is formula
