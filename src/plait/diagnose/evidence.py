"""Everything analyzers look at: what people wrote, what it means, and every workload there is or will be.

A workload is a pod, or the template of what makes pods, so that manifests without a running pod can be judged. No IO.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from plait.base.wellknown import DATAPLANE_MODE, INJECT, INJECTION, PROXY_CONTAINER, REDIRECTION, SIDECAR_STATUS
from plait.model.compile.traffic.mesh_settings import CONFIG_MAP
from plait.model.mesh import Mesh
from plait.model.modes import wanted_mode
from plait.resources import kinds, kubernetes
from plait.resources.decode import decode
from plait.resources.kinds import Kind
from plait.resources.mesh_config import mesh as mesh_config
from plait.resources.meta import Resource
from plait.resources.networking.workload import WorkloadEntry
from plait.resources.objects import Objects
from plait.resources.registry import TYPES

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

    @property
    def labels(self) -> Mapping[str, str]:
        return part(self.document, "metadata", "labels")


@dataclass(frozen=True, slots=True)
class Workload:
    """`spec` is a pod's; `path` is where it stands in the object, `phase` what a pod's status says."""

    kind: str
    namespace: str
    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    spec: Document
    path: str
    phase: str = ""

    @property
    def running(self) -> bool:
        return self.phase == "Running"

    def carries(self, wanted: Mapping[str, str]) -> bool:
        return all(self.labels.get(key) == value for key, value in wanted.items())

    @property
    def containers(self) -> list[Document]:
        found = self.spec.get("containers")
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


class Evidence:
    """`documents` are all that were read, also of kinds the mesh does not read, and objects that break a rule of their
    kind; `objects` and `mesh` are what is in effect of them. `now` (seconds) tells what has expired."""

    def __init__(self, documents: Iterable[Document], objects: Objects, mesh: Mesh, now: float | None = None) -> None:
        self.objects, self.mesh, self.now = objects, mesh, now
        self.written = tuple(_written(documents))

    @property
    def root(self) -> str:
        return self.mesh.settings.root_namespace

    def all(self, cls: type[R]) -> list[R]:
        """Objects of a type, by namespace and name; also those that are refused but can be read."""
        found: dict[tuple[str, str], R] = {**self._refused.get(cls, {}), **self.objects.all(cls)}
        return sorted(found.values(), key=lambda each: each.ident)

    @cached_property
    def _refused(self) -> Mapping[type[Resource], dict[tuple[str, str], Any]]:
        found: dict[type[Resource], dict[tuple[str, str], Any]] = {}
        for each in self.written:
            kind = kinds.by_document(each.document)
            if kind is None or kind not in TYPES or (each.namespace, each.name) in self.objects.of(kind):
                continue
            metadata = {**part(each.document, "metadata"), "namespace": each.namespace}
            read, _ = decode({**each.document, "metadata": metadata})
            if read is not None:
                found.setdefault(TYPES[kind], {})[each.namespace, each.name] = read
        return found

    @cached_property
    def config(self) -> mesh_config.MeshConfig:
        """The mesh configuration as it is written; Istio's defaults when none is."""
        found = self.objects.all(kubernetes.ConfigMap).get((self.root, CONFIG_MAP))
        return (
            mesh_config.read((found.data or {}).get("mesh", ""))[0] if found is not None else mesh_config.MeshConfig()
        )

    @cached_property
    def spaces(self) -> Mapping[str, Mapping[str, str]]:
        """Labels by namespace."""
        return {each.name: each.meta.labels for each in self.all(kubernetes.Namespace)}

    @cached_property
    def workloads(self) -> tuple[Workload, ...]:
        found = [each for written in self.written for each in _workloads(written)]
        entries = self.all(WorkloadEntry)
        found += [Workload(e.kind, e.namespace, e.name, e.spec.labels, {}, {}, "spec", "Running") for e in entries]
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

    def serving(self, selector: Mapping[str, str]) -> list[Workload]:
        """Proxies that an Istio Gateway with this selector takes, of whatever namespace; without a selector, nobody."""
        return [each for each in self.workloads if selector and each.carries(selector)]

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
        if workload.annotations.get(REDIRECTION) == "enabled":
            return True
        space, alone = self.spaces.get(workload.namespace, {}), bool(workload.spec.get("hostNetwork"))
        return wanted_mode(workload.labels, workload.annotations, space, alone) == "ambient"

    def has_sidecar(self, workload: Workload) -> bool:
        inits = workload.spec.get("initContainers") or []
        names = {each.get("name") for each in (*workload.containers, *inits) if isinstance(each, dict)}
        return SIDECAR_STATUS in workload.annotations or PROXY_CONTAINER in names

    def in_mesh(self, workload: Workload) -> bool:
        """Does a proxy stand before it? Of a namespace that nobody describes, it may."""
        if self.has_sidecar(workload) or self.injected(workload) or self.ambient(workload):
            return True
        own = workload.labels.get(INJECT, workload.annotations.get(INJECT))
        return workload.kind == "WorkloadEntry" or (own is None and workload.namespace not in self.spaces)

    def left_out(self, workload: Workload) -> bool:
        """Does somebody say that it is not to be in the mesh? (Of a namespace that says nothing, IST0102 is told.)"""
        said = {INJECTION, REVISION, DATAPLANE_MODE} & self.spaces.get(workload.namespace, {}).keys()
        own = {INJECT, DATAPLANE_MODE} & {*workload.labels, *workload.annotations}
        return not self.in_mesh(workload) and bool(said or own)

    def ambient_space(self, namespace: str) -> bool:
        """Are its pods in ambient mode, rather than given a sidecar?"""
        labels = self.spaces.get(namespace, {})
        injected = labels.get(INJECTION) == "enabled" or bool(labels.get(REVISION))
        return labels.get(DATAPLANE_MODE) == "ambient" and not injected


def control_plane(labels: Mapping[str, str]) -> bool:
    """Is this a part of Istio itself, by the labels that its charts give?"""
    return "istio" in labels or labels.get("release") == "istio"


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
        yield _workload(written, written.document, "spec", str(status.get("phase") or ""))
    elif written.kind in {kind.kind for kind in TEMPLATED}:
        yield _workload(written, part(written.document, "spec", "template"), "spec.template.spec")


def _workload(written: Written, template: Document, path: str, phase: str = "") -> Workload:
    labels, annotations = part(template, "metadata", "labels"), part(template, "metadata", "annotations")
    spec = part(template, "spec")
    return Workload(written.kind, written.namespace, written.name, labels, annotations, spec, path, phase)
