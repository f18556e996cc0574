"""What a policy hangs on: workloads by labels, or objects by name. One rule for all kinds that have it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plait.resources.rules import names, words
from plait.resources.rules.words import bad
from plait.resources.structure import Finding

_GATEWAYS = "gateway.networking.k8s.io"
_KINDS = frozenset(
    {
        ("", "Service"),
        ("core", "Service"),
        ("networking.istio.io", "ServiceEntry"),
        (_GATEWAYS, "Gateway"),
        (_GATEWAYS, "GatewayClass"),
    }
)


def targets(each: Any) -> Iterator[Finding]:
    """`selector`, `targetRef` and `targetRefs` of a policy."""
    spec = each.spec
    one = getattr(spec, "target_ref", None)
    given = {"selector": spec.selector is not None, "targetRef": one is not None, "targetRefs": bool(spec.target_refs)}
    yield from words.exactly_one("spec", given, none_is_fine=True)
    yield from names.match_labels("spec.selector", spec.selector)
    if one is not None:
        yield from reference("spec.targetRef", one)
    yield from references(spec.target_refs)


def references(found: tuple[Any, ...]) -> Iterator[Finding]:
    for index, each in enumerate(found):
        yield from reference(f"spec.targetRefs[{index}]", each)


def reference(path: str, found: Any) -> Iterator[Finding]:
    if found.namespace:
        yield bad(f"{path}.namespace", "a policy attaches to objects of its own namespace only; remove the field")
    if (found.group, found.kind) not in _KINDS:
        text = f"no policy hangs on a {found.kind} of {found.group or 'the core group'}"
        yield bad(f"{path}.kind", f"{text}; name a Gateway, a GatewayClass, a Service or a ServiceEntry")
