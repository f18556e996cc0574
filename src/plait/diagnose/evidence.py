"""Everything analyzers look at: what people wrote, what it means, and every workload there is or will be.

A workload is a pod, or the template of what makes pods, so that manifests without a running pod can be judged. No IO.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from plait.base.wellknown import DATAPLANE_MODE, INJECT, INJECTION, SIDECAR_STATUS
from plait.model.mesh import Mesh
from plait.model.modes import wanted_mode
from plait.resources import kinds, kubernetes
from plait.resources.kinds import Kind
from plait.resources.meta import Resource
from plait.resources.networking.workload import WorkloadEntry
from plait.resources.objects import Objects

Document = dict[str, Any]
R = TypeVar("R", bound=Resource)
TEMPLATED: tuple[Kind, ...] = (kinds.DEPLOYMENT, kinds.DAEMON_SET, kinds.JOB)
REVISION = "istio.io/rev"
SYSTEM = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})


@dataclass(frozen=True, slots=True)
class Written:
    """A document as it was written, of any kind."""

    kind: str
    namespace: str
    name: str
    document: Document

    @property
    def annotations(self) -> Mapping[str, str]:
        return part(self.document, "metadata", "annotations")


@dataclass(frozen=True, slots=True)
class Workload:
    """`spec` is a pod's; `path` is where it stands in the object."""

    kind: str
    namespace: str
    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    spec: Document
    path: str
    running: bool = False

    def carries(self, wanted: Mapping[str, str]) -> bool:
        return all(self.labels.get(key) == value for key, value in wanted.items())

    @property
    def containers(self) -> list[Document]:
        found = self.spec.get("containers")
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


class Evidence:
    """`documents` are all that were read, also of kinds the mesh does not read."""

    def __init__(self, documents: Iterable[Document], objects: Objects, mesh: Mesh) -> None:
        self.objects, self.mesh = objects, mesh
        self.written = tuple(_written(documents))

    @property
    def root(self) -> str:
        return self.mesh.settings.root_namespace

    def all(self, cls: type[R]) -> list[R]:
        """Objects of a type, by namespace and name."""
        return sorted(self.objects.all(cls).values(), key=lambda each: each.ident)

    @cached_property
    def spaces(self) -> Mapping[str, Mapping[str, str]]:
        """Labels by namespace."""
        return {each.name: each.meta.labels for each in self.all(kubernetes.Namespace)}

    @cached_property
    def workloads(self) -> tuple[Workload, ...]:
        found = [each for written in self.written for each in _workloads(written)]
        entries = self.all(WorkloadEntry)
        found += [Workload(e.kind, e.namespace, e.name, e.spec.labels, {}, {}, "spec", True) for e in entries]
        return tuple(sorted(found, key=lambda each: (each.namespace, each.kind, each.name)))

    @cached_property
    def _by_space(self) -> Mapping[str, tuple[Workload, ...]]:
        found: dict[str, tuple[Workload, ...]] = {}
        for each in self.workloads:
            found[each.namespace] = (*found.get(each.namespace, ()), each)
        return found

    def selected(self, namespace: str, labels: Mapping[str, str]) -> list[Workload]:
        """Workloads that a selector of an object in this namespace takes; in the root namespace, of all."""
        inside = self.workloads if namespace == self.root else self._by_space.get(namespace, ())
        return [each for each in inside if each.carries(labels)]

    def inside(self, namespace: str) -> tuple[Workload, ...]:
        return self._by_space.get(namespace, ())

    def injected(self, workload: Workload) -> bool:
        """Is a sidecar put into pods of this? The pod's own word wins over its namespace's."""
        own = workload.labels.get(INJECT, workload.annotations.get(INJECT))
        if own is not None or workload.spec.get("hostNetwork"):
            return own == "true"
        space = self.spaces.get(workload.namespace, {})
        if INJECTION in space:
            return space[INJECTION] == "enabled"
        return REVISION in space or REVISION in workload.labels

    def ambient(self, workload: Workload) -> bool:
        space, alone = self.spaces.get(workload.namespace, {}), bool(workload.spec.get("hostNetwork"))
        return wanted_mode(workload.labels, workload.annotations, space, alone) == "ambient"

    def has_sidecar(self, workload: Workload) -> bool:
        inits = workload.spec.get("initContainers") or []
        names = {each.get("name") for each in (*workload.containers, *inits) if isinstance(each, dict)}
        return SIDECAR_STATUS in workload.annotations or "istio-proxy" in names

    def ambient_space(self, namespace: str) -> bool:
        return self.spaces.get(namespace, {}).get(DATAPLANE_MODE) == "ambient"


def part(document: Any, *path: str) -> Document:
    """What stands there, when it is a mapping."""
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


def _written(documents: Iterable[Document]) -> Iterator[Written]:
    for each in documents:
        kind, metadata = kinds.by_document(each), part(each, "metadata")
        if kind is not None and isinstance(metadata.get("name"), str):
            namespace = str(metadata.get("namespace") or "default") if kind.namespaced else ""
            yield Written(kind.kind, namespace, metadata["name"], each)


def _workloads(written: Written) -> Iterator[Workload]:
    if written.kind == kinds.POD.kind:
        status = part(written.document, "status")
        if status.get("phase") in ("Succeeded", "Failed"):
            return
        yield _workload(written, written.document, "spec", status.get("phase") == "Running")
    elif written.kind in {kind.kind for kind in TEMPLATED}:
        yield _workload(written, part(written.document, "spec", "template"), "spec.template.spec", False)


def _workload(written: Written, template: Document, path: str, running: bool) -> Workload:
    labels, annotations = part(template, "metadata", "labels"), part(template, "metadata", "annotations")
    spec = part(template, "spec")
    return Workload(written.kind, written.namespace, written.name, labels, annotations, spec, path, running)
