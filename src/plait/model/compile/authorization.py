"""AuthorizationPolicy -> Policy at L4. What only an HTTP proxy could check makes the policy stricter, never laxer:

an ALLOW rule with an HTTP attribute cannot match here and is left out; a DENY rule keeps its L4 attributes only, and
denies everything when it has none. What CUSTOM is about is denied, for nobody can be asked here. Either way a problem
says so. Policies for waypoints (targetRefs) are not ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TypeVar

from msgspec import Struct

from plait.base.wellknown import DRY_RUN
from plait.model.compile import rule_values
from plait.model.compile.memory import Memory
from plait.model.mesh import Settings
from plait.model.policies import Group, Match, Policy, Reach, Rule, Text
from plait.resources import security
from plait.resources.problems import Problem, Severity
from plait.resources.security import AuthorizationPolicy, Operation, Source

_KIND = "AuthorizationPolicy"
_ATTACH = "give the service a waypoint and attach the policy to it by targetRefs"
T = TypeVar("T")


class Authorized(Struct, frozen=True):
    """The policies, and those with a selector by namespace."""

    policies: tuple[Policy, ...]
    selectors: Mapping[str, tuple[tuple[Mapping[str, str], str], ...]]
    root: str

    def selecting(self, namespace: str, labels: Mapping[str, str]) -> Iterator[str]:
        for where in {namespace, self.root}:
            for wanted, name in self.selectors.get(where, ()):
                if wanted.items() <= labels.items():
                    yield name


def policies(
    found: Iterable[AuthorizationPolicy], settings: Settings, memory: Memory, problems: list[Problem]
) -> Authorized:
    made: list[Policy] = []
    selectors: dict[str, list[tuple[Mapping[str, str], str]]] = {}
    for each in found:
        policy, said = memory.made(("authorization", each.ident), each, partial(_policy, each, settings))
        problems.extend(said)
        if policy is None:
            continue
        made.append(policy)
        if policy.scope == "workload" and each.spec.selector is not None:
            selectors.setdefault(each.namespace, []).append((each.spec.selector.match_labels, policy.key))
    return Authorized(tuple(made), {name: tuple(each) for name, each in selectors.items()}, settings.root_namespace)


def _policy(each: AuthorizationPolicy, settings: Settings) -> tuple[Policy | None, tuple[Problem, ...]]:
    problems: list[Problem] = []

    def say(code: str, severity: Severity, path: str, message: str) -> None:
        problems.append(Problem(code, severity, _KIND, each.namespace, each.name, path, message))

    spec = each.spec
    if spec.target_ref is not None or spec.target_refs:
        return None, ()
    if spec.action == "AUDIT":
        say("PLT0311", "warning", "spec.action", f"an audit needs an HTTP proxy: nothing is said at L4; {_ATTACH}")
        return None, tuple(problems)  # it refuses nobody, so nobody has to be refused instead
    if spec.action == "CUSTOM":
        text = "nobody can be asked at L4, so what this is about is denied there"
        say("PLT0311", "warning", "spec.action", f"{text}; {_ATTACH}")
    deny = spec.action != "ALLOW"
    groups: list[Group] = []
    for number, rule in enumerate(spec.rules or ()):
        path = f"spec.rules[{number}]"
        clauses, http, bad = _clauses(rule)
        for field, message in bad:
            say("PLT0312", "error", f"{path}.{field}", message)
        if bad and not deny:
            continue  # a value nobody can match allows nobody; a DENY is kept without it, which denies more
        if http:
            attributes = ", ".join(sorted(http))
            if not deny:
                text = f"{attributes}: HTTP attributes cannot be checked at L4, so this rule allows nobody there"
                say("PLT0313", "info", path, f"{text}; {_ATTACH}, or use ports and principals")
                continue
            if not clauses:
                text = f"{attributes}: only HTTP attributes, which cannot be checked at L4, so all is denied there"
                say("PLT0314", "warning", path, f"{text}; {_ATTACH}")
            else:
                text = f"{attributes}: cannot be checked at L4, so the rule denies without regard to them"
                say("PLT0315", "info", path, f"{text}; {_ATTACH} for the exact meaning")
        groups.append(Group(clauses))
    scope: Reach = "mesh" if each.namespace == settings.root_namespace else "namespace"
    if spec.selector is not None and spec.selector.match_labels:
        scope = "workload"
    dry_run = each.meta.annotations.get(DRY_RUN, "").lower() == "true"
    policy = Policy(each.name, each.namespace, scope, "deny" if deny else "allow", tuple(groups), dry_run)
    return policy, tuple(problems)


def _clauses(rule: security.Rule) -> tuple[tuple[Rule, ...], set[str], list[tuple[str, str]]]:
    """L4 clauses of a rule, the HTTP attributes left out, and (field, message) of what cannot be read."""
    http: set[str] = set()
    bad: list[tuple[str, str]] = []
    clauses: list[Rule] = []
    sources: list[Match | None] = []
    for number, origin in enumerate(rule.from_):
        sources.append(_tried(f"from[{number}]", bad, _source, origin.source or Source(), http))
    operations: list[Match | None] = []
    for number, to in enumerate(rule.to):
        operations.append(_tried(f"to[{number}]", bad, _operation, to.operation or Operation(), http))
    for alternatives in (sources, operations):
        # An alternative stripped of everything stands for "any": then the whole clause says nothing.
        if alternatives and all(match is not None and match != Match() for match in alternatives):
            clauses.append(Rule(tuple(match for match in alternatives if match is not None)))
    for number, condition in enumerate(rule.when):
        match = _tried(f"when[{number}]", bad, _condition, condition, http)
        if match is not None and match != Match():
            clauses.append(Rule((match,)))
    return tuple(clauses), http, bad


def _tried(
    field: str, bad: list[tuple[str, str]], read: Callable[[T, set[str]], Match], value: T, http: set[str]
) -> Match | None:
    own: set[str] = set()
    try:
        match = read(value, own)
    except rule_values.Unreadable as error:
        bad.append((field, str(error)))
        return None
    if match == Match() and not own:
        bad.append((field, "it says nothing, so it matches nobody; name what it is about or delete it"))
        return None
    http |= own
    return match


def _source(s: Source, http: set[str]) -> Match:
    _note(
        http,
        requestPrincipals=(*s.request_principals, *s.not_request_principals),
        remoteIpBlocks=(*s.remote_ip_blocks, *s.not_remote_ip_blocks),
    )
    return Match(
        namespaces=_texts(s.namespaces),
        not_namespaces=_texts(s.not_namespaces),
        principals=(*_texts(s.principals), *_domains(s.trust_domains)),
        not_principals=(*_texts(s.not_principals), *_domains(s.not_trust_domains)),
        source_ips=rule_values.ranges(s.ip_blocks),
        not_source_ips=rule_values.ranges(s.not_ip_blocks),
        accounts=rule_values.accounts(s.service_accounts),
        not_accounts=rule_values.accounts(s.not_service_accounts),
    )


def _operation(o: Operation, http: set[str]) -> Match:
    _note(
        http,
        hosts=(*o.hosts, *o.not_hosts),
        methods=(*o.methods, *o.not_methods),
        paths=(*o.paths, *o.not_paths),
    )
    return Match(destination_ports=rule_values.ports(o.ports), not_destination_ports=rule_values.ports(o.not_ports))


def _condition(c: security.Condition, http: set[str]) -> Match:
    yes, no = c.values, c.not_values
    match c.key:
        case "source.ip":
            return Match(source_ips=rule_values.ranges(yes), not_source_ips=rule_values.ranges(no))
        case "source.namespace":
            return Match(namespaces=_texts(yes), not_namespaces=_texts(no))
        case "source.principal":
            return Match(principals=_texts(yes), not_principals=_texts(no))
        case "source.serviceAccount":
            return Match(accounts=rule_values.accounts(yes), not_accounts=rule_values.accounts(no))
        case "source.trustDomain":
            return Match(principals=_domains(yes), not_principals=_domains(no))
        case "destination.ip":
            return Match(destination_ips=rule_values.ranges(yes), not_destination_ips=rule_values.ranges(no))
        case "destination.port":
            return Match(destination_ports=rule_values.ports(yes), not_destination_ports=rule_values.ports(no))
    http.add(c.key)
    return Match()


def _note(http: set[str], **attributes: tuple[str, ...]) -> None:
    http.update(name for name, values in attributes.items() if values)


def _texts(values: Iterable[str]) -> tuple[Text, ...]:
    return tuple(_text(value) for value in values)


def _text(value: str) -> Text:
    if value == "*":
        return Text("presence")
    if value.endswith("*"):
        return Text("prefix", value[:-1])
    return Text("suffix", value[1:]) if value.startswith("*") else Text("exact", value)


def _domains(values: Iterable[str]) -> tuple[Text, ...]:
    return tuple(Text("prefix", value if value.endswith("*") and value[:-1] else value + "/") for value in values)
