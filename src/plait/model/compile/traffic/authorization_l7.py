"""AuthorizationPolicy -> HttpPolicy with every attribute. The L4 reading of the same object is `compile.authorization`.

A value nobody can read makes an ALLOW or CUSTOM narrower and a DENY wider, never the other way; it is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial

from plait.base.wellknown import DRY_RUN
from plait.model.compile import rule_values
from plait.model.compile.memory import Memory
from plait.model.compile.traffic.attachments import attachment
from plait.model.compile.traffic.report import BAD_VALUE, Report
from plait.model.http_security import Attribute, Condition, HttpPolicy, HttpRule, Operation, PathText, Source
from plait.model.mesh import Settings
from plait.model.policies import Text
from plait.resources import security
from plait.resources.problems import Problem
from plait.resources.security import AuthorizationPolicy

KIND = "AuthorizationPolicy"
_SEGMENT = re.compile(r"[A-Za-z0-9._~%!$&'()+,;:@=-]+")
_TEXTS: dict[str, Attribute] = {
    "source.namespace": "source.namespace",
    "request.auth.principal": "token.principal",
    "request.auth.audiences": "token.audience",
    "request.auth.presenter": "token.presenter",
    "connection.sni": "sni",
}
_RANGES: dict[str, Attribute] = {
    "source.ip": "source.ip",
    "remote.ip": "remote.ip",
    "destination.ip": "destination.ip",
}


def policies(
    found: Iterable[AuthorizationPolicy],
    settings: Settings,
    domains: tuple[str, ...],
    memory: Memory,
    problems: list[Problem],
) -> Iterator[HttpPolicy]:
    """`domains`: the mesh's trust domains, its own first."""
    for each in found:
        made, said = memory.made(("http-policy", each.ident), each, partial(_policy, each, settings, domains), domains)
        problems.extend(said)
        if made is not None:
            yield made


def _policy(
    each: AuthorizationPolicy, settings: Settings, domains: tuple[str, ...]
) -> tuple[HttpPolicy | None, tuple[Problem, ...]]:
    report = Report(KIND, each.namespace, each.name)
    spec = each.spec
    bound = attachment(each.namespace, spec.selector, spec.target_ref, spec.target_refs, settings, report)
    if bound is None:
        return None, report.problems
    widens = spec.action in ("DENY", "AUDIT")
    rules: list[HttpRule] = []
    for number, rule in enumerate(spec.rules or ()):
        made = _rule(rule, f"spec.rules[{number}]", widens, each.namespace, domains, report)
        if made is not None:
            rules.append(made)
    provider = spec.provider.name if spec.provider is not None else ""
    if spec.action == "CUSTOM" and not provider:
        report.error(
            BAD_VALUE,
            "spec.provider",
            "action CUSTOM needs a provider; until it has one, what its rules match is denied",
        )
    policy = HttpPolicy(
        name=each.name,
        namespace=each.namespace,
        action=spec.action.lower(),  # type: ignore[arg-type]
        attachment=bound,
        rules=tuple(rules),
        provider=provider,
        dry_run=rule_values.true(each.meta.annotations.get(DRY_RUN, "")),
        created=each.meta.creation_timestamp or "",
        needs_http=bool(bound.targets) or spec.action in ("AUDIT", "CUSTOM") or any(map(_beyond_l4, rules)),
    )
    # What the L4 reading says already (values nobody can read) is said there for policies it reads.
    said = report.problems if bound.targets or policy.action in ("audit", "custom") else _own(report.problems)
    return policy, said


def _own(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    words = ("is no attribute", "path template")  # what the L4 reading takes for an HTTP attribute and does not check
    return tuple(p for p in problems if p.code != BAD_VALUE or any(word in p.message for word in words))


def _beyond_l4(rule: HttpRule) -> bool:
    return (
        rule.of_requests
        or any(s.remote_ips or s.not_remote_ips for s in rule.sources)
        or any(c.attribute in ("remote.ip", "sni", "filter") for c in rule.conditions)
    )


def _rule(
    rule: security.Rule, path: str, widens: bool, namespace: str, domains: tuple[str, ...], report: Report
) -> HttpRule | None:
    """The rule; None when it can match nothing. A wide one of which nothing is left matches everything."""
    sources: list[Source] = []
    operations: list[Operation] = []
    conditions: list[Condition] = []
    broken = False
    for number, origin in enumerate(rule.from_):
        try:
            sources.append(_source(origin.source or security.Source(), namespace, domains))
        except rule_values.Unreadable as error:
            report.error(BAD_VALUE, f"{path}.from[{number}]", str(error))
            broken = True
    for number, to in enumerate(rule.to):
        try:
            operations.append(_operation(to.operation or security.Operation()))
        except rule_values.Unreadable as error:
            report.error(BAD_VALUE, f"{path}.to[{number}]", str(error))
            broken = True
    for number, condition in enumerate(rule.when):
        try:
            conditions.append(_condition(condition, namespace, domains))
        except rule_values.Unreadable as error:
            report.error(BAD_VALUE, f"{path}.when[{number}]", str(error))
            broken = True
    if broken and not widens:
        return None
    # Of a DENY a clause that lost an alternative is dropped whole: it then denies more, which is the safe side.
    return HttpRule(
        tuple(sources) if len(sources) == len(rule.from_) else (),
        tuple(operations) if len(operations) == len(rule.to) else (),
        tuple(conditions),
    )


def _source(s: security.Source, namespace: str, domains: tuple[str, ...]) -> Source:
    made = Source(
        principals=_principals(s.principals, domains),
        not_principals=_principals(s.not_principals, domains),
        request_principals=rule_values.texts(s.request_principals),
        not_request_principals=rule_values.texts(s.not_request_principals),
        namespaces=rule_values.texts(s.namespaces),
        not_namespaces=rule_values.texts(s.not_namespaces),
        accounts=rule_values.accounts(s.service_accounts, namespace),
        not_accounts=rule_values.accounts(s.not_service_accounts, namespace),
        ips=rule_values.ranges(s.ip_blocks),
        not_ips=rule_values.ranges(s.not_ip_blocks),
        remote_ips=rule_values.ranges(s.remote_ip_blocks),
        not_remote_ips=rule_values.ranges(s.not_remote_ip_blocks),
        trust_domains=_domains(s.trust_domains, domains),
        not_trust_domains=_domains(s.not_trust_domains, domains),
    )
    if made == Source():
        raise rule_values.Unreadable("the source is empty, so it matches nobody; name who is meant or delete it")
    return made


def _operation(o: security.Operation) -> Operation:
    made = Operation(
        hosts=rule_values.texts(o.hosts),
        not_hosts=rule_values.texts(o.not_hosts),
        ports=rule_values.ports(o.ports),
        not_ports=rule_values.ports(o.not_ports),
        methods=rule_values.texts(o.methods),
        not_methods=rule_values.texts(o.not_methods),
        paths=_paths(o.paths),
        not_paths=_paths(o.not_paths),
    )
    if made == Operation():
        raise rule_values.Unreadable("the operation is empty, so it matches nothing; name what is meant or delete it")
    return made


def _condition(c: security.Condition, namespace: str, domains: tuple[str, ...]) -> Condition:
    yes, no = c.values, c.not_values
    if not yes and not no:
        raise rule_values.Unreadable(f"{c.key} has neither values nor notValues; add one")
    if c.key == "source.principal":
        return Condition("source.principal", texts=_principals(yes, domains), not_texts=_principals(no, domains))
    if c.key == "source.trustDomain":
        return Condition("source.trust_domain", texts=_domains(yes, domains), not_texts=_domains(no, domains))
    if c.key in _TEXTS:
        return Condition(_TEXTS[c.key], texts=rule_values.texts(yes), not_texts=rule_values.texts(no))
    if c.key in _RANGES:
        return Condition(_RANGES[c.key], ranges=rule_values.ranges(yes), not_ranges=rule_values.ranges(no))
    if c.key == "destination.port":
        return Condition("destination.port", ports=rule_values.ports(yes), not_ports=rule_values.ports(no))
    if c.key == "source.serviceAccount":
        return Condition(
            "source.account",
            accounts=rule_values.accounts(yes, namespace),
            not_accounts=rule_values.accounts(no, namespace),
        )
    if found := re.fullmatch(r"request\.(headers|experimental\.inline\.headers)\[([^\[\]]+)\]", c.key):
        attribute: Attribute = "header" if found[1] == "headers" else "header.item"
        return Condition(attribute, found[2].lower(), texts=rule_values.texts(yes), not_texts=rule_values.texts(no))
    if found := re.fullmatch(r"request\.auth\.claims((?:\[[^\[\]]+\])+)", c.key):
        path = tuple(found[1][1:-1].split("]["))
        return Condition("token.claim", path=path, texts=rule_values.texts(yes), not_texts=rule_values.texts(no))
    if found := re.fullmatch(r"experimental\.(envoy\.filters\.[^\[\]]+)\[([^\[\]]+)\]", c.key):
        texts: list[Text] = []
        nots: list[Text] = []
        listed = False
        for values, kept in ((yes, texts), (no, nots)):
            for value in values:
                inside = value.startswith("[") and value.endswith("]")
                listed = listed or inside
                kept.append(rule_values.text(value[1:-1] if inside else value))
        return Condition("filter", found[1], (found[2],), texts=tuple(texts), not_texts=tuple(nots), is_list=listed)
    raise rule_values.Unreadable(f"{c.key!r} is no attribute; see the reference for those that can be used")


def _principals(values: Iterable[str], domains: tuple[str, ...]) -> tuple[Text, ...]:
    return rule_values.texts(rule_values.principals(values, domains))


def _domains(values: Iterable[str], domains: tuple[str, ...]) -> tuple[Text, ...]:
    return rule_values.texts(rule_values.trust_domains(values, domains))


def _paths(values: Iterable[str]) -> tuple[PathText, ...]:
    made = []
    for value in values:
        if "{*}" in value or "{**}" in value:
            if not _template(value):
                message = "write {*} for one whole segment, {**} for the rest, and else only what a path may hold"
                raise rule_values.Unreadable(f"{value!r} is no path template; {message}")
            made.append(PathText("template", value))
        else:
            text = rule_values.text(value)
            made.append(PathText(text.how, text.value))
    return tuple(made)


def _template(value: str) -> bool:
    """{*} and {**} each as a whole segment, {**} at most once and followed by no {*}; else what a path may hold.

    No other must be told to a proxy: Envoy ends on them.
    """
    if not value.startswith("/"):
        return False
    parts = value.strip("/").split("/")
    rest = [part for part in parts if part not in ("{*}", "{**}")]
    if not all(map(_SEGMENT.fullmatch, rest)) or parts.count("{**}") > 1:
        return False
    return "{**}" not in parts or "{*}" not in parts[parts.index("{**}") :]
