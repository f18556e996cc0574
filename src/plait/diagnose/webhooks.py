"""Istio's admission webhooks: do they call something that is there, and does only one inject a pod?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from itertools import product
from typing import Any
from urllib.parse import urlsplit

from plait.base.wellknown import INJECT, INJECTION, REVISION
from plait.diagnose.evidence import Document, Evidence, Written, part
from plait.diagnose.messages import say
from plait.resources import kinds
from plait.resources.kubernetes import Service
from plait.resources.problems import Problem

Labels = Mapping[str, str]
Hook = tuple[Written, int, Document]
_SERVICE = "webhooks[{}].clientConfig.service"
_EXTERNAL = {
    kinds.MUTATING_WEBHOOK.kind: ("istio-sidecar-injector",),
    kinds.VALIDATING_WEBHOOK.kind: ("istiod-default-validator", "istio-validator"),
}
"""How the configurations begin that may call a control plane outside the cluster."""


def missing_service(evidence: Evidence) -> Iterator[Problem]:
    """Injectors that call a Service which is not there: every pod they are asked about is refused."""
    services = {(each.namespace, each.name) for each in evidence.all(Service)}
    for each, number, hook in _injectors(evidence):
        service = part(hook, "clientConfig", "service")
        name = str(service.get("namespace") or ""), str(service.get("name") or "")
        if service and name not in services:
            text = f"Service {'/'.join(name)} does not exist; create it or delete this webhook"
            yield say("IST0139", each, _SERVICE.format(number), text)


def overlapping(evidence: Evidence) -> Iterator[Problem]:
    """Two injectors that take the same pods, which get two sidecars."""
    hooks = list(_injectors(evidence))
    revisions = sorted({name for each, _, hook in hooks for name in _revisions(each, hook)})
    told: dict[int, tuple[Hook, set[str]]] = {}
    for space, pod in product(
        _labels(INJECTION, "enabled", "disabled", revisions), _labels(INJECT, "true", "false", revisions)
    ):
        found = [
            hook
            for hook in hooks
            if _meets(hook[2].get("namespaceSelector"), space) and _meets(hook[2].get("objectSelector"), pod)
        ]
        for hook in found if len(found) > 1 else ():
            names = {f"{other[0].name}/{other[2].get('name')}" for other in found if other is not hook}
            told.setdefault(id(hook[2]), (hook, set()))[1].update(names)
    for (each, number, _), names in told.values():
        text = f"{', '.join(sorted(names))} takes the same pods, which are injected twice; make the selectors disjoint"
        yield say("IST0139", each, f"webhooks[{number}]", text)


def external_control_plane(evidence: Evidence) -> Iterator[Problem]:
    """Webhooks of a control plane outside: without any address, or with a bare one."""
    for each, number, hook in _hooks(evidence, tuple(_EXTERNAL)):
        if not each.name.startswith(_EXTERNAL[each.kind]):
            continue
        client, path = part(hook, "clientConfig"), f"webhooks[{number}].clientConfig"
        url = client.get("url")
        if not url and not client.get("service"):
            yield say("IST0163", each, path, "it has neither url nor service, so nobody is asked; give one")
        elif url and not (host := urlsplit(str(url)).hostname or ""):
            yield say("IST0163", each, f"{path}.url", f"{url} names no host; write https://HOST:PORT/PATH")
        elif url and _address(host):
            text = f"{host} is an address, which may change and is in few certificates; give it a name"
            yield say("IST0164", each, f"{path}.url", text)


def _address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _hooks(evidence: Evidence, wanted: tuple[str, ...]) -> Iterator[Hook]:
    for each in evidence.written:
        hooks = each.document.get("webhooks") if each.kind in wanted else None
        for number, hook in enumerate(hooks if isinstance(hooks, list) else ()):
            if isinstance(hook, dict):
                yield each, number, hook


def _injectors(evidence: Evidence) -> Iterator[Hook]:
    """Of Istio, or of a mesh that is like it: by their names, or because they are about revisions."""
    for each, number, hook in _hooks(evidence, (kinds.MUTATING_WEBHOOK.kind,)):
        if str(hook.get("name")).endswith("istio.io") or any(_revisions(each, hook)):
            yield each, number, hook


def _revisions(each: Written, hook: Document) -> Iterator[str]:
    if REVISION in each.labels:
        yield each.labels[REVISION]
    for field in ("namespaceSelector", "objectSelector"):
        selector = part(hook, field)
        if name := part(selector, "matchLabels").get(REVISION):
            yield str(name)
        for expression in _listed(selector.get("matchExpressions")):
            if expression.get("key") == REVISION:
                yield from map(str, expression.get("values") or ())


def _labels(key: str, on: str, off: str, revisions: list[str]) -> list[Labels]:
    """What a namespace or pod may carry, as far as it matters here."""
    base: list[Labels] = [{}, {key: on}, {key: off}]
    return base + [{**labels, REVISION: revision} for revision in revisions for labels in base]


def _meets(selector: Any, labels: Labels) -> bool:
    if any(labels.get(key) != value for key, value in part(selector, "matchLabels").items()):
        return False
    expressions = _listed(selector.get("matchExpressions")) if isinstance(selector, dict) else []
    return all(_holds(each, labels) for each in expressions)


def _holds(expression: Document, labels: Labels) -> bool:
    value, values = labels.get(str(expression.get("key"))), expression.get("values") or ()
    match expression.get("operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None


def _listed(found: Any) -> list[Document]:
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
