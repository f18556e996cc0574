"""AuthorizationPolicies: do the namespaces that they trust, or keep away, exist?"""

from __future__ import annotations

from collections.abc import Iterator

from plait.diagnose.evidence import Evidence
from plait.diagnose.messages import say
from plait.resources.problems import Problem
from plait.resources.security import AuthorizationPolicy


def unknown_namespaces(evidence: Evidence) -> Iterator[Problem]:
    """Names and patterns of source namespaces that no Namespace meets: a rule that never applies, or always."""
    for each in evidence.all(AuthorizationPolicy):
        for number, rule in enumerate(each.spec.rules or ()):
            for place, source in enumerate(found.source for found in rule.from_):
                path = f"spec.rules[{number}].from[{place}].source"
                for field, names in (
                    ("namespaces", source.namespaces if source is not None else ()),
                    ("notNamespaces", source.not_namespaces if source is not None else ()),
                ):
                    for index, name in enumerate(names):
                        if not any(_meets(name.lower(), space) for space in evidence.spaces):
                            text = f"there is no namespace {name}; create it or mend the name"
                            yield say("IST0101", each, f"{path}.{field}[{index}]", text)


def _meets(pattern: str, name: str) -> bool:
    if pattern == "*":
        return True
    if pattern.startswith("*"):
        return name.endswith(pattern[1:])
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
