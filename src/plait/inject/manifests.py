"""Manifests with sidecars in them: pods and the templates of whatever makes pods, by the very code the webhook runs.

Who hands manifests over asks for sidecars, as `istioctl kube-inject` takes it; a namespace among them that says
otherwise, or a pod, is heard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct, structs

from plait.base.wellknown import INJECTION
from plait.inject.injector import Config, inject
from plait.resources import kinds
from plait.resources.decode import decode
from plait.resources.networking.proxy_config import ProxyConfig
from plait.resources.problems import Problem

Document = dict[str, Any]
TEMPLATES: Final[dict[str, tuple[str, ...]]] = {
    "Pod": (),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    **dict.fromkeys(
        ("Deployment", "DeploymentConfig", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "ReplicationController"),
        ("spec", "template"),
    ),
    "PodTemplate": ("template",),
}
"""Where the pod stands in a document of each kind."""


class Injected(Struct, frozen=True):
    """`left`: "Kind ns/name: why" of each that makes pods and got no sidecar."""

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        return any(each.severity == "error" for each in self.problems)


def injected(documents: Iterable[Document], config: Config) -> Injected:
    """All documents in their order; those that are no pods and make none come back as they were."""
    found = tuple(documents)
    namespaces = dict(_namespaces(found))
    config = structs.replace(config, proxy_configs=(*config.proxy_configs, *_proxy_configs(found)))
    made: list[Document] = []
    problems: list[Problem] = []
    left: list[str] = []
    for document in found:
        path = TEMPLATES.get(str(document.get("kind")))
        pod = _at(document, path) if path is not None else None
        if path is None or pod is None:
            made.append(document)
            continue
        meta = _mapping(document.get("metadata"))
        kind, name, namespace = str(document["kind"]), str(meta.get("name") or ""), str(meta.get("namespace") or "")
        outcome = inject(_named(pod, name, path), namespace or "default", namespaces.get(namespace, _ASKING), config)
        problems += (_about(each, kind, namespace, name, path) for each in outcome.problems)
        if outcome.refused:
            made.append(document)
        elif not outcome.injected:
            left.append(f"{kind} {'/'.join(filter(None, (namespace, name)))}: {outcome.reason}")
            made.append(document)
        else:
            made.append(_with(document, path, _nameless(outcome.document, pod)))
    return Injected(tuple(made), tuple(problems), tuple(left))


_ASKING: Final[Mapping[str, str]] = {INJECTION: "enabled"}


def _namespaces(documents: Iterable[Document]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Labels of the namespaces among them: what they say of injection wins over the command's wish."""
    for each in documents:
        if each.get("kind") == "Namespace":
            meta = _mapping(each.get("metadata"))
            yield str(meta.get("name")), {**_ASKING, **_mapping(meta.get("labels"))}


def _proxy_configs(documents: Iterable[Document]) -> Iterator[ProxyConfig]:
    for each in documents:
        if each.get("kind") == kinds.PROXY_CONFIG.kind and isinstance(read := decode(each)[0], ProxyConfig):
            yield read


def _named(pod: Document, owner: str, path: tuple[str, ...]) -> Document:
    """With the name that its owner will give it: the canonical service of a pod without labels follows from it."""
    return {**pod, "metadata": {**_mapping(pod.get("metadata")), "generateName": f"{owner}-"}} if path else pod


def _nameless(made: Document, before: Document) -> Document:
    meta = dict(made["metadata"])
    if "generateName" not in _mapping(before.get("metadata")):
        meta.pop("generateName", None)
    return {**made, "metadata": meta}


def _about(problem: Problem, kind: str, namespace: str, name: str, path: tuple[str, ...]) -> Problem:
    """The same, said of the document as it was written."""
    where = ".".join((*path, problem.path))
    return Problem(problem.code, problem.severity, kind, namespace, name, where, problem.message)


def _at(document: Document, path: tuple[str, ...]) -> Document | None:
    found: Any = document
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def _with(document: Document, path: tuple[str, ...], pod: Document) -> Document:
    if not path:
        return pod
    return {**document, path[0]: _with(document[path[0]], path[1:], pod)}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
