"""One authorization rule, read twice for L4: exactly as Istio tells ztunnels, and strictly.

`own` is Istio's reading. HTTP attributes, and trust domains, which its messages have no field for, are left out of an
alternative; one of which nothing is left stays as an empty match, which never matches. `strict` reads the other way,
for a guard: what could not be checked is taken to hold, so whoever the rule may mean is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from msgspec import Struct

from plait.model.compile import rule_values
from plait.model.policies import Group, Match, Rule, Text
from plait.resources import security
from plait.resources.security import Condition, Operation, Source

T = TypeVar("T")


class Alternative(Struct, frozen=True):
    """One entry of `from`, `to` or `when`. `http`: attributes that no L4 proxy is told."""

    own: Match
    strict: Match
    http: frozenset[str] = frozenset()


class Reading(Struct, frozen=True):
    """A rule. `bad`: (field, message) of what nobody can read; it matches nothing in `own`, everything in `strict`."""

    own: Group
    strict: Group
    http: frozenset[str]
    bad: tuple[tuple[str, str], ...]

    @property
    def lacking(self) -> bool:
        """Whether `own` may miss requests that the rule, as it is written, means."""
        return any(match == Match() for rule in self.own.rules for match in rule.matches)


def read(rule: security.Rule, namespace: str, domains: tuple[str, ...]) -> Reading:
    """`namespace`: the policy's own, where service accounts stand that are named without one. `domains`: the mesh's."""
    bad: list[tuple[str, str]] = []

    def tried(field: str, reader: Callable[[T], Alternative], value: T) -> Alternative:
        try:
            found = reader(value)
        except rule_values.Unreadable as error:
            bad.append((field, str(error)))
            return _NOTHING
        if found == _NOTHING:
            bad.append((field, "it says nothing, so it matches nobody; name what it is about or delete it"))
        return found

    clauses = [
        [tried(f"to[{n}]", _operation, to.operation or Operation()) for n, to in enumerate(rule.to)],
        [
            tried(f"from[{n}]", lambda s: _source(s, namespace, domains), o.source or Source())
            for n, o in enumerate(rule.from_)
        ],
        *([tried(f"when[{n}]", lambda c: _condition(c, namespace, domains), c)] for n, c in enumerate(rule.when)),
    ]
    said = [clause for clause in clauses if clause]
    # Of alternatives of which one may mean anybody, the strict reading says nothing.
    strict = [clause for clause in said if all(each.strict != Match() for each in clause)]
    return Reading(
        Group(tuple(Rule(tuple(each.own for each in clause)) for clause in said)),
        Group(tuple(Rule(tuple(each.strict for each in clause)) for clause in strict)),
        frozenset(name for clause in said for each in clause for name in each.http),
        tuple(bad),
    )


_NOTHING = Alternative(Match(), Match())


def _source(s: Source, namespace: str, trusted: tuple[str, ...]) -> Alternative:
    def match(domains: tuple[Text, ...], not_domains: tuple[Text, ...]) -> Match:
        return Match(
            namespaces=rule_values.texts(s.namespaces),
            not_namespaces=rule_values.texts(s.not_namespaces),
            principals=(*_principals(s.principals, trusted), *domains),
            not_principals=(*_principals(s.not_principals, trusted), *not_domains),
            source_ips=rule_values.ranges(s.ip_blocks),
            not_source_ips=rule_values.ranges(s.not_ip_blocks),
            accounts=rule_values.accounts(s.service_accounts, namespace),
            not_accounts=rule_values.accounts(s.not_service_accounts, namespace),
        )

    # Values of one field are alternatives: beside principals, domains would add others and not narrow them.
    domains = () if s.principals else _domains(rule_values.trust_domains(s.trust_domains, trusted))
    not_domains = _not_domains(rule_values.trust_domains(s.not_trust_domains, trusted))
    http = _given(
        requestPrincipals=s.request_principals,
        notRequestPrincipals=s.not_request_principals,
        remoteIpBlocks=s.remote_ip_blocks,
        notRemoteIpBlocks=s.not_remote_ip_blocks,
        trustDomains=s.trust_domains,
        notTrustDomains=s.not_trust_domains,
    )
    return Alternative(match((), ()), match(domains, not_domains), http)


def _operation(o: Operation) -> Alternative:
    match = Match(destination_ports=rule_values.ports(o.ports), not_destination_ports=rule_values.ports(o.not_ports))
    http = _given(
        hosts=o.hosts,
        notHosts=o.not_hosts,
        methods=o.methods,
        notMethods=o.not_methods,
        paths=o.paths,
        notPaths=o.not_paths,
    )
    return Alternative(match, match, http)


def _condition(c: Condition, namespace: str, trusted: tuple[str, ...]) -> Alternative:
    yes, no = c.values, c.not_values
    match c.key:
        case "source.ip":
            known = Match(source_ips=rule_values.ranges(yes), not_source_ips=rule_values.ranges(no))
        case "source.namespace":
            known = Match(namespaces=rule_values.texts(yes), not_namespaces=rule_values.texts(no))
        case "source.principal":
            known = Match(principals=_principals(yes, trusted), not_principals=_principals(no, trusted))
        case "destination.ip":
            known = Match(destination_ips=rule_values.ranges(yes), not_destination_ips=rule_values.ranges(no))
        case "destination.port":
            known = Match(destination_ports=rule_values.ports(yes), not_destination_ports=rule_values.ports(no))
        case "source.serviceAccount":
            yes_accounts, no_accounts = (rule_values.accounts(values, namespace) for values in (yes, no))
            return Alternative(Match(), Match(accounts=yes_accounts, not_accounts=no_accounts), frozenset({c.key}))
        case "source.trustDomain":
            yes, no = (rule_values.trust_domains(values, trusted) for values in (yes, no))
            strict = Match(principals=_domains(yes), not_principals=_not_domains(no))
            return Alternative(Match(), strict, frozenset({c.key}))
        case _:
            return Alternative(Match(), Match(), frozenset({c.key}))
    return Alternative(known, known)


def _given(**attributes: tuple[str, ...]) -> frozenset[str]:
    return frozenset(name for name, values in attributes.items() if values)


def _principals(values: Iterable[str], trusted: tuple[str, ...]) -> tuple[Text, ...]:
    return rule_values.texts(rule_values.principals(values, trusted))


def _domains(values: Iterable[str]) -> tuple[Text, ...]:
    """Tests of principals, none narrower than these trust domains."""
    return tuple(Text("presence") if value.startswith("*") else _domain(value) for value in values)


def _not_domains(values: Iterable[str]) -> tuple[Text, ...]:
    """Tests of principals, none wider than these trust domains."""
    return tuple(_domain(value) for value in values if not value.startswith("*") or value == "*")


def _domain(value: str) -> Text:
    if value == "*":
        return Text("presence")
    return Text("prefix", value[:-1] if value.endswith("*") else value + "/")
