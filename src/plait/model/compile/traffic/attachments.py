"""selector and targetRefs of a policy -> Attachment. Written the same way by every kind that is attached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from plait.model.attachment import Attachment, Target, labels_of
from plait.model.compile.traffic.report import BAD_VALUE, Report
from plait.model.mesh import Settings
from plait.resources.networking.traffic import TargetReference

_KINDS = {
    ("gateway.networking.k8s.io", "Gateway"),
    ("gateway.networking.k8s.io", "GatewayClass"),
    ("", "Service"),
    ("core", "Service"),
    ("networking.istio.io", "ServiceEntry"),
}


class _Selector(Protocol):
    @property
    def match_labels(self) -> Mapping[str, str]: ...


def attachment(
    namespace: str,
    selector: _Selector | None,
    ref: TargetReference | None,
    refs: Iterable[TargetReference],
    settings: Settings,
    report: Report,
) -> Attachment | None:
    """Who is meant; None when only things are named that cannot be meant: then the policy binds nobody, and says so."""
    written = (*((ref,) if ref is not None else ()), *refs)
    targets = []
    for number, each in enumerate(written):
        path = "spec.targetRef" if ref is not None else f"spec.targetRefs[{number}]"
        if (each.group, each.kind) not in _KINDS:
            text = f"{each.kind} cannot carry a policy; name a Gateway, GatewayClass, Service or ServiceEntry"
            report.error(BAD_VALUE, path, text)
        elif each.namespace not in ("", namespace):
            report.error(BAD_VALUE, f"{path}.namespace", f"only objects of {namespace} can be named; move the policy")
        elif each.kind == "GatewayClass" and namespace != settings.root_namespace:
            text = f"a policy on a GatewayClass must be in {settings.root_namespace}; move it"
            report.error(BAD_VALUE, path, text)
        else:
            targets.append(Target(each.kind, "" if each.kind == "GatewayClass" else namespace, each.name))
    if written and not targets:
        return None
    labels = labels_of(selector.match_labels) if selector is not None else ()
    return Attachment(namespace, namespace == settings.root_namespace, labels, tuple(dict.fromkeys(targets)))
