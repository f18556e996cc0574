"""What is special about each kind: derived defaults, what the server sets at creation, what may not change.

Four moments: `default` (before webhooks), `prepare` (after them), `problems` (validation beyond the schema) and
`allocate` (right before the write, without awaits in between). Static defaults are in the schemas.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from plait.resources import kinds, validate
from plait.resources.kinds import Kind
from plait.store import errors
from plait.store.api import Document
from plait.store.errors import Cause
from plait.store.schema import crds
from plait.store.selectors import of_document
from plait.store.state import State
from plait.store.strategies import allocation, pods

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
_SERVICE = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?\Z")
_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\Z")
_LABEL_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?\Z")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?\Z")
_KEPT_NAMESPACES = frozenset({"default", "kube-system", "kube-public"})
_SELECTING = frozenset({"Deployment", "ReplicaSet", "DaemonSet"})
_STRATEGIES: dict[str, tuple[str, Document]] = {
    "Deployment": ("strategy", {"maxSurge": "25%", "maxUnavailable": "25%"}),
    "DaemonSet": ("updateStrategy", {"maxSurge": 0, "maxUnavailable": 1}),
}
_TEMPLATED = _SELECTING | {"Job"}


@dataclass(frozen=True, slots=True)
class Context:
    """What the rules may look at: the present objects and the ranges to give addresses from."""

    state: State
    services: allocation.Ranges
    node_ports: range = range(30000, 32768)


def default(context: Context, kind: Kind, new: Document, old: Document | None) -> None:
    """Defaults that depend on other fields or on the previous object. Changes `new` in place."""
    if kind.kind in _TEMPLATED:
        _template(kind, new.get("spec") or {})
    if kind.kind == "Pod" and old is None:
        pods.default(context.state, new)
    elif kind.kind in ("RoleBinding", "ClusterRoleBinding"):
        for subject in new.get("subjects") or ():
            if subject.get("kind") in ("User", "Group"):
                subject.setdefault("apiGroup", "rbac.authorization.k8s.io")
    elif kind.kind == "Service":
        allocation.default(context.services, new, old)
    elif kind.kind == "Secret":
        _secret(new)
    elif kind.kind == "Namespace":
        labels = dict(new["metadata"].get("labels") or {})
        labels["kubernetes.io/metadata.name"] = new["metadata"].get("name", "")
        new["metadata"]["labels"] = labels
        if old is None:
            new["spec"] = {**(new.get("spec") or {}), "finalizers": ["kubernetes"]}
        else:
            new["spec"] = old.get("spec", {})
    elif kind.kind == "Job":
        spec = new["spec"]
        if "completions" not in spec and "parallelism" not in spec:
            spec["completions"] = 1
        spec.setdefault("parallelism", 1)
        if old is not None and "selector" not in spec and "selector" in old["spec"]:
            spec["selector"] = old["spec"]["selector"]
    elif kind.kind == "CustomResourceDefinition":
        new["spec"] = crds.completed(new)["spec"]
        new["spec"].setdefault("conversion", {"strategy": "None"})


def prepare(context: Context, kind: Kind, new: Document, old: Document | None, now: str, subresource: str = "") -> None:
    """What the server itself writes. Changes `new` in place."""
    if subresource:
        return
    if kind.kind == "CustomResourceDefinition":
        new["status"] = crds.accepted(
            {**new, "status": (old or {}).get("status")}, now=now, taken=taken(context.state, new)
        )
    if old is not None:
        return
    if kind.kind == "Pod":
        new["status"] = {"phase": "Pending", "qosClass": pods.quality(new["spec"])}
    elif kind.kind == "Namespace":
        new["status"] = {"phase": "Active"}
    elif kind.kind in ("Service",):
        new["status"] = {"loadBalancer": {}}
    elif kind.kind in _SELECTING:
        new["status"] = {"replicas": 0} if kind.kind == "ReplicaSet" else {}
    elif kind.kind == "Job":
        _job(new)


def taken(state: State, document: Document, *, without: str = "") -> str:
    """Who in its group holds a name that this CRD wants: another CRD, or a kind of our own; "" when nobody."""
    resources, kind_names = crds.names_of(document)
    group, name = document["spec"]["group"], document["metadata"]["name"]
    for record in state.list(("apiextensions.k8s.io", "customresourcedefinitions")):
        other = record.document
        if other["spec"]["group"] != group or other["metadata"]["name"] in (name, without):
            continue
        theirs = crds.names_of(other)
        if crds.established(other) and (resources & theirs[0] or kind_names & theirs[1]):
            return str(other["metadata"]["name"])
    if is_builtin(document):
        return ""
    own = (kind for kind in kinds.ALL if kind.group == group)
    return next((str(k) for k in own if resources & {k.plural, k.singular, *k.short_names}), "")


def is_builtin(crd: Document) -> bool:
    """Whether a CRD describes a kind we serve from our own table; it is then stored, but changes nothing."""
    spec = crd["spec"]
    return any(k.group == spec["group"] and k.kind == spec["names"]["kind"] for k in kinds.ALL)


def _template(kind: Kind, spec: Document) -> None:
    """A pod template's defaults, and those of a strategy that was written as an empty object."""
    pods.complete((spec.get("template") or {}).get("spec") or {})
    key, limits = _STRATEGIES.get(kind.kind, ("", {}))
    if key and (strategy := spec.get(key)) is not None:
        strategy.setdefault("type", "RollingUpdate")
        if strategy["type"] == "RollingUpdate":
            strategy["rollingUpdate"] = {**limits, **(strategy.get("rollingUpdate") or {})}


def _secret(new: Document) -> None:
    if texts := new.pop("stringData", None):
        new["data"] = {**(new.get("data") or {}), **{k: _base64(v) for k, v in texts.items()}}
    new.setdefault("type", "Opaque")


def _base64(text: str) -> str:
    import base64

    return base64.b64encode(text.encode()).decode()


def _job(new: Document) -> None:
    uid, name, spec = new["metadata"]["uid"], new["metadata"]["name"], new["spec"]
    if spec.get("manualSelector"):
        return
    template = spec.setdefault("template", {}).setdefault("metadata", {})
    own = {"controller-uid": uid, "job-name": name}
    own |= {f"batch.kubernetes.io/{key}": value for key, value in own.items()}
    template["labels"] = {**(template.get("labels") or {}), **own}
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}


def allocate(context: Context, kind: Kind, new: Document, old: Document | None) -> None:
    """Give scarce things (cluster addresses, node ports) in the same instant as the write."""
    if kind.kind == "Service":
        allocation.allocate(context.state, context.services, context.node_ports, new, old)


def companions(kind: Kind, document: Document) -> Iterator[tuple[Kind, Document]]:
    """Objects that must be there from the first moment, so that nobody has to wait for a controller."""
    if kind.kind == "Namespace":
        yield (
            kinds.SERVICE_ACCOUNT,
            {"metadata": {"name": "default", "namespace": document["metadata"]["name"]}},
        )


def deletable(kind: Kind, document: Document) -> None:
    name = document["metadata"]["name"]
    if kind.kind == "Namespace" and name in _KEPT_NAMESPACES:
        raise errors.forbidden(kind, name, "this namespace may not be deleted")


def problems(context: Context, kind: Kind, new: Document, old: Document | None) -> list[Cause]:
    """All that is wrong with a document whose fields fit their schema."""
    found = _meta(kind, new["metadata"])
    if kind.kind in _RULES:
        found += _RULES[kind.kind](new, old)
    if kind.kind == "Service":
        found += allocation.problems(context.state, context.services, context.node_ports, new, old)
    if kind.group in kinds.MESH_GROUPS and (old is None or new.get("spec") != old.get("spec")):
        found += [(p.path, p.message, "FieldValueInvalid") for p in validate.validate(new) if p.severity == "error"]
    return found


def _meta(kind: Kind, meta: Document) -> list[Cause]:
    name = meta["name"]
    if kind.group == "rbac.authorization.k8s.io":
        good, rule = name not in (".", "..") and "/" not in name and "%" not in name, "a path segment without / and %"
    elif kind.kind == "Namespace":
        good, rule = bool(_LABEL.match(name)), "a lowercase RFC 1123 label (a-z, 0-9, '-', at most 63 characters)"
    elif kind.kind == "Service":
        good, rule = bool(_SERVICE.match(name)), "a DNS-1035 label (a-z, 0-9, '-', starting with a letter)"
    else:
        good, rule = len(name) <= 253 and bool(_SUBDOMAIN.match(name)), "a lowercase RFC 1123 subdomain"
    found: list[Cause] = []
    if not good:
        found.append(("metadata.name", f'Invalid value: "{name}": must be {rule}', "FieldValueInvalid"))
    for key, value in (meta.get("labels") or {}).items():
        if not _LABEL_KEY.match(key) or not _LABEL_VALUE.match(value):
            text = f'Invalid value: "{key}={value}": a label is [prefix/]name=value, each at most 63 characters'
            found.append(("metadata.labels", text, "FieldValueInvalid"))
    return found


def _immutable(path: str) -> Cause:
    return path, "Invalid value: field is immutable", "FieldValueInvalid"


def _fixed(new: Document, old: Document | None, *paths: str) -> list[Cause]:
    return [_immutable(path) for path in paths if old is not None and _at(new, path) != _at(old, path)]


def _at(document: Document, path: str) -> Any:
    at: Any = document
    for step in path.split("."):
        at = at.get(step) if isinstance(at, dict) else None
    return at


def _selecting(new: Document, old: Document | None) -> list[Cause]:
    selector = new["spec"].get("selector")
    labels = (new["spec"]["template"].get("metadata") or {}).get("labels") or {}
    found = _fixed(new, old, "spec.selector")
    if not selector or not (selector.get("matchLabels") or selector.get("matchExpressions")):
        text = "Invalid value: empty selector is invalid for this kind"
        found.append(("spec.selector", text, "FieldValueInvalid"))
    elif not of_document(selector)(labels):
        text = f"Invalid value: {labels}: `selector` does not match template `labels`"
        found.append(("spec.template.metadata.labels", text, "FieldValueInvalid"))
    policy = new["spec"]["template"].get("spec", {}).get("restartPolicy", "Always")
    if policy != "Always":
        text = f'Unsupported value: "{policy}": supported values: "Always"'
        found.append(("spec.template.spec.restartPolicy", text, "FieldValueNotSupported"))
    return found + pods.problems(new["spec"]["template"].get("spec") or {}, "spec.template.spec")


def _job_rules(new: Document, old: Document | None) -> list[Cause]:
    spec = new["spec"]["template"].get("spec") or {}
    found = _fixed(new, old, "spec.template", "spec.selector", "spec.completions")
    if spec.get("restartPolicy") not in ("Never", "OnFailure"):
        given = spec.get("restartPolicy", "")
        text = f'Unsupported value: "{given}": supported values: "Never", "OnFailure"'
        found.append(("spec.template.spec.restartPolicy", text, "FieldValueNotSupported"))
    return found + pods.problems(spec, "spec.template.spec")


def _frozen(new: Document, old: Document | None) -> list[Cause]:
    """ConfigMaps and Secrets that declared themselves immutable; a Secret's type."""
    found = _fixed(new, old, "type")
    if old is not None and old.get("immutable"):
        found += _fixed(new, old, "data", "binaryData", "immutable")
    return found


def _crd(new: Document, old: Document | None) -> list[Cause]:
    found = [(path, message, "FieldValueInvalid") for path, message in crds.problems(new)]
    return found + _fixed(new, old, "spec.group", "spec.scope", "spec.names.kind", "spec.names.plural")


_RULES: dict[str, Callable[[Document, Document | None], list[Cause]]] = {
    "Pod": pods.changes,
    "Deployment": _selecting,
    "ReplicaSet": _selecting,
    "DaemonSet": _selecting,
    "Job": _job_rules,
    "Secret": _frozen,
    "ConfigMap": _frozen,
    "CustomResourceDefinition": _crd,
    "EndpointSlice": lambda new, old: _fixed(new, old, "addressType"),
    "RoleBinding": lambda new, old: _fixed(new, old, "roleRef"),
    "ClusterRoleBinding": lambda new, old: _fixed(new, old, "roleRef"),
}
