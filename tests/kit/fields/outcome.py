"""What becomes of a world when one of its objects is another: the documents of each role, the statuses, the problems.

A `Trial` goes from one such world to the next as the control plane does, so that only what moved is made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from kit import worlds
from plait.app.gathering import Gathering
from plait.app.injection import configured
from plait.envoy.l7.bundle import URLS, Documents
from plait.envoy.l7.parts import Parts
from plait.envoy.l7.report import Refusal
from plait.envoy.roles import gateway, node, sidecar, waypoint
from plait.inject.injector import Config, inject
from plait.model.compile import compile
from plait.model.mesh import Mesh
from plait.model.views import gateway_projection, sidecar_projection, waypoint_projection
from plait.model.views.asking import proxy_of
from plait.model.views.node import NodeState, NodeView, PodState, project

Document = dict[str, Any]
PODS = {
    "sidecar": ("web", "reviews-1"),
    "waypoint": ("waypoint-1",),
    "gateway": ("edge-1", "ingress-1"),
}
ROLES = (*PODS, "injected", "node", "status")
"""`injected`: a pod that gets a sidecar now. `status`: only what the object's own status says is another."""
POD = {
    "metadata": {
        "name": "new",
        "labels": {"app": "web"},
        "annotations": {"sidecar.istio.io/nativeSidecar": "false"},
    },
    "spec": {"containers": [{"name": "a", "image": "b"}]},
}
ASKING = {"istio-injection": "enabled"}


class Word(NamedTuple):
    """A problem."""

    code: str
    kind: str
    name: str
    path: str
    message: str


class Outcome(NamedTuple):
    told: Mapping[str, Any]
    """By role what it is told."""
    said: frozenset[Word]
    """Of the objects, or of what a proxy is not told of them."""


class _Told:
    """What one proxy was told last, and its translator's memory."""

    def __init__(self, role: Any, roles: Any) -> None:
        self._project, self._build = role.project, roles.build
        self._parts = Parts()
        self._view: Any = None
        self._made = Documents()

    def of(self, mesh: Mesh, proxy: Any) -> Documents:
        view = self._project(mesh, proxy, self._view)
        if view is not self._view and view != self._view:
            self._made = self._build(view, parts=self._parts)
        self._view = view
        return self._made


_TRANSLATED = {
    "sidecar": (sidecar_projection, sidecar),
    "waypoint": (waypoint_projection, waypoint),
    "gateway": (gateway_projection, gateway),
}


class Trial:
    """One world, in which documents are put one after another, each instead of the one before."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self._objects = worlds.objects(*documents)
        self._mesh = compile(self._objects)[0]
        self._told = {pod: _Told(*_TRANSLATED[role]) for role, pods in PODS.items() for pod in pods}
        self._gathering = Gathering()
        self._node: NodeView | None = None
        self._made: dict[str, tuple[Any, Any]] = {}

    def outcome(self, document: Document) -> Outcome:
        objects = self._objects.with_(*worlds.objects(document))
        mesh, problems = compile(objects, self._mesh)
        self._mesh = mesh
        said = {Word(each.code, each.kind, each.name, each.path, each.message) for each in problems}
        told: dict[str, Any] = {}
        for role, pods in PODS.items():
            made = [self._of_pod(mesh, pod) for pod in pods]
            told[role] = [{part: getattr(each, part) for part in URLS} for each in made]
            said.update(_refused(refusal) for each in made for refusal in each.refusals)
        config = configured(objects, "istio-system", Config("/f"))
        told["injected"] = self._once("injected", config, lambda: inject(POD, "shop", ASKING, config).document)
        told["node"] = self._of_node(mesh), mesh.services, mesh.workloads
        told["status"] = self._gathering.of(objects, mesh, ())
        return Outcome(told, frozenset(said))

    def _of_pod(self, mesh: Mesh, pod: str) -> Documents:
        proxy = proxy_of(mesh, f"Kubernetes//Pod/shop/{pod}")
        return self._told[pod].of(mesh, proxy) if proxy is not None else Documents()

    def _of_node(self, mesh: Mesh) -> Any:
        there = tuple(
            PodState(pod.name, "shop", pod.name, pod.service_account, pod.addresses, f"/run/netns/{pod.name}")
            for pod in mesh.workloads.values()
            if pod.tunnel == "hbone" and pod.node == "n1"
        )
        view = self._node = project(mesh, NodeState("n1", there), self._node)
        reached = {(address, port): view.destination(address, port) for address, port in view.destinations()}
        return self._once("node", (view.local, view.ranges, view.beyond, reached), lambda: node.documents(view))

    def _once(self, what: str, source: Any, make: Callable[[], Any]) -> Any:
        if what not in self._made or self._made[what][0] != source:
            self._made[what] = source, make()
        return self._made[what][1]


def _refused(refusal: Refusal) -> Word:
    kind, _, rest = refusal.source.partition("/")
    return Word("PLT0011", kind, rest.partition("/")[2], refusal.path, refusal.message)
