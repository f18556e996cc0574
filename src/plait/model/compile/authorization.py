"""AuthorizationPolicy -> Policy at L4: what Istio tells a ztunnel of it, and beside it a guard where that is laxer.

An ALLOW rule with an HTTP attribute is left out, so it allows nobody. A DENY rule loses its HTTP attributes, and can
then be without effect; CUSTOM is not told at all. So that nothing is skipped which only an HTTP proxy could refuse, a
policy of our own, `plait_guard_L4_…`, denies whatever such a rule may mean. Any ztunnel enforces it as it does the
others. Either way a problem says so. Policies for waypoints (targetRefs) are not ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from msgspec import Struct

from plait.base.wellknown import DRY_RUN
from plait.model.compile import l4_rules, rule_values
from plait.model.compile.memory import Memory
from plait.model.guard import SELECTED
from plait.model.mesh import Settings
from plait.model.policies import Action, Group, Policy, Reach
from plait.resources.problems import Problem, Severity
from plait.resources.security import AuthorizationPolicy

_KIND = "AuthorizationPolicy"
_ATTACH = "give the service a waypoint and attach the policy to it by targetRefs"


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
    found: Iterable[AuthorizationPolicy],
    settings: Settings,
    domains: tuple[str, ...],
    memory: Memory,
    problems: list[Problem],
) -> Authorized:
    """`domains`: the mesh's trust domains, its own first."""
    made: list[Policy] = []
    selectors: dict[str, list[tuple[Mapping[str, str], str]]] = {}
    for each in found:
        both, said = memory.made(("authorization", each.ident), each, partial(_both, each, settings, domains), domains)
        problems.extend(said)
        made += both
        if each.spec.selector is not None:
            labels = each.spec.selector.match_labels
            selectors.setdefault(each.namespace, []).extend((labels, policy.key) for policy in both)
    return Authorized(tuple(made), {name: tuple(each) for name, each in selectors.items()}, settings.root_namespace)


def _both(
    each: AuthorizationPolicy, settings: Settings, domains: tuple[str, ...]
) -> tuple[tuple[Policy, ...], tuple[Problem, ...]]:
    """The policy as Istio tells it, if it does, then its guard, if it needs one."""
    problems: list[Problem] = []

    def say(code: str, severity: Severity, path: str, message: str) -> None:
        problems.append(Problem(code, severity, _KIND, each.namespace, each.name, path, message))

    spec = each.spec
    if spec.target_ref is not None or spec.target_refs:
        return (), ()
    if spec.action == "AUDIT":
        say("PLT0311", "warning", "spec.action", f"an audit needs an HTTP proxy: nothing is said at L4; {_ATTACH}")
        return (), tuple(problems)  # it refuses nobody, so nobody has to be refused instead
    if spec.action == "CUSTOM":
        text = "nobody can be asked at L4, so what this is about is denied there"
        say("PLT0311", "warning", "spec.action", f"{text}; {_ATTACH}")
    own: list[Group] = []
    guarded: list[Group] = []
    for number, rule in enumerate(spec.rules or ()):
        path = f"spec.rules[{number}]"
        reading = l4_rules.read(rule, each.namespace, domains)
        for field, message in reading.bad:
            say("PLT0312", "error", f"{path}.{field}", message)
        if spec.action == "ALLOW":
            if reading.http and not reading.bad:
                text = f"{_listed(reading)}: cannot be checked at L4, so this rule allows nobody there"
                say("PLT0313", "info", path, f"{text}; {_ATTACH}, or use ports and principals")
            if not reading.http and not reading.bad:
                own.append(reading.own)
            continue
        own.append(reading.own)
        if spec.action == "CUSTOM" or reading.lacking:
            guarded.append(reading.strict)
        if reading.http:
            say(*_stricter(reading, path))

    def policy(name: str, groups: list[Group]) -> Policy:
        dry_run = rule_values.true(each.meta.annotations.get(DRY_RUN, ""))
        action: Action = "allow" if spec.action == "ALLOW" else "deny"
        return Policy(name, each.namespace, _reach(each, settings), action, tuple(groups), dry_run)

    made = [] if spec.action == "CUSTOM" else [policy(each.name, own)]
    if guarded:
        made.append(policy(SELECTED + each.name, guarded))
    return tuple(made), tuple(problems)


def _reach(each: AuthorizationPolicy, settings: Settings) -> Reach:
    if each.spec.selector is not None:
        return "workload"
    return "mesh" if each.namespace == settings.root_namespace else "namespace"


def _stricter(reading: l4_rules.Reading, path: str) -> tuple[str, Severity, str, str]:
    """What is said of a rule that is denied without its HTTP attributes."""
    if not reading.strict.rules:
        text = f"{_listed(reading)}: only HTTP attributes, which cannot be checked at L4, so all is denied there"
        return "PLT0314", "warning", path, f"{text}; {_ATTACH}"
    text = f"{_listed(reading)}: cannot be checked at L4, so the rule denies without regard to them"
    return "PLT0315", "info", path, f"{text}; {_ATTACH} for the exact meaning"


def _listed(reading: l4_rules.Reading) -> str:
    return ", ".join(sorted(reading.http))
