"""Which proxy `sidecar:NS/NAME`, `waypoint:…` or `gateway:…` names offline, and what that proxy would be told.

A pod is itself. A Deployment or Gateway is its first pod, or a stand-in for it where none is described. No IO.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, overload

import msgspec

from plait.app import standins
from plait.app.kins import Kins
from plait.app.standins import Name, Standins
from plait.base.bundle import Bundle
from plait.envoy.l7 import tls
from plait.envoy.l7.bundle import Documents, encode
from plait.envoy.l7.options import DEFAULT, Options
from plait.envoy.l7.parts import Parts
from plait.envoy.l7.report import Refusal
from plait.envoy.roles import gateway, sidecar, waypoint
from plait.model import pool
from plait.model.attachment import carries
from plait.model.compile.traffic.instances import GATEWAY_NAME
from plait.model.gateways import Gateway
from plait.model.mesh import Mesh
from plait.model.proxies import Proxy, Role
from plait.model.views import gateway_projection, sidecar_projection, waypoint_projection
from plait.model.views.gateway import GatewayView
from plait.model.views.sidecar import SidecarView
from plait.model.views.waypoint import WaypointView
from plait.resources import codes, kinds
from plait.resources.kubernetes import Pod, Service
from plait.resources.objects import Objects
from plait.resources.problems import Problem

Document = dict[str, Any]
View = SidecarView | WaypointView | GatewayView


class UnknownProxy(Exception):
    """Nothing of this name can be such a proxy; the text says what there is."""


class Asked:
    """`objects` afterwards: the world with all stand-ins. `problems`: for whom there is one."""

    def __init__(
        self,
        objects: Objects,
        deployments: Mapping[Name, Document],
        mesh: Mesh,
        assumed: Callable[[Pod], Pod],
    ) -> None:
        self._deployments, self._gateways, self._assumed = deployments, mesh.l7.gateways, assumed
        self._made = Standins(objects)
        self._described = objects.all(Pod)
        self._pods_of: dict[Name, list[Pod]] = {}
        self.objects = objects.with_(*self._made.services(objects.all(Service).values()))
        for name, document in sorted(deployments.items()):
            found = standins.pods_of(document, objects)
            if not found and standins.part(document, "spec").get("replicas") != 0:
                found = [pod for pod in (self._made.deployment(document),) if pod is not None]
                self.objects = self.objects.with_(*map(assumed, found))
            self._pods_of[name] = found

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(self._made.problems)

    def pod(self, role: Role, namespace: str, name: str) -> Name:
        """The pod that is meant, which `objects` has from now on."""
        found = self._found(role, namespace, name)
        if found is None:
            there = ", ".join(sorted(self._there(role))) or "none"
            raise UnknownProxy(f"no {role} {namespace}/{name}; there is: {there}")
        return self._addressed(standins.with_sidecar(found) if role == "sidecar" else found)

    def node(self, namespace: str, name: str) -> str:
        """The node of this pod, whose proxy serves it. A pod that is on none is put on one of its own."""
        found = self._found("sidecar", namespace, name)
        if found is None:
            there = ", ".join(sorted(self._there("sidecar"))) or "none"
            raise UnknownProxy(f"no pod {namespace}/{name} whose node could be asked; there is: {there}")
        if not found.spec.node_name:
            spec = msgspec.structs.replace(found.spec, node_name=standins.NODE)
            found = msgspec.structs.replace(found, spec=spec)
        self._addressed(found)
        return found.spec.node_name

    def _addressed(self, found: Pod) -> Name:
        found = self._assumed(self._made.addressed(found))
        self.objects = self.objects.with_(found)
        return found.ident

    def addresses(self) -> None:
        """Every waypoint has a Service from now on, by which node proxies find it."""
        for each in self._gateways.values():
            there = (s for s in self.objects.all(Service).values() if s.namespace == each.namespace)
            if each.waypoint and not any(s.meta.labels.get(GATEWAY_NAME) == each.name for s in there):
                self.objects = self.objects.with_(self._made.service(each))

    def _found(self, role: Role, namespace: str, name: str) -> Pod | None:
        pods = self.objects.all(Pod)
        if (pod := pods.get((namespace, name))) is not None:
            own = self._gateways.get(f"gateway-api/{_made_for(pod)}")
            return pod if role != "waypoint" or (own is not None and own.waypoint) else None
        if role != "sidecar":
            for key in (f"gateway-api/{namespace}/{name}", f"{namespace}/{name}"):
                known = self._gateways.get(key)
                if known is not None and known.waypoint == (role == "waypoint"):
                    return self._of_gateway(known)
        if role == "waypoint":
            return None
        deployment = (namespace, name)
        if deployment not in self._pods_of:
            longest = sorted((each for each in self._pods_of if each[0] == namespace), key=lambda e: -len(e[1]))
            deployment = next((each for each in longest if name.startswith(f"{each[1]}-")), deployment)
        return next(iter(self._pods_of.get(deployment, ())), None)

    def _of_gateway(self, known: Gateway) -> Pod:
        pods = sorted(self.objects.all(Pod).values(), key=lambda pod: pod.ident)
        own = next((pod for pod in pods if _serves(pod, known)), None)
        if own is not None:
            return own
        annotations: Mapping[str, str] = {}
        labels: Mapping[str, str] = {}
        written = self.objects.get(kinds.GATEWAY, known.name, known.namespace) if known.managed else None
        if written is not None:
            annotations = written.meta.annotations
            labels = written.spec.infrastructure.labels if written.spec.infrastructure is not None else {}
        return self._made.gateway(known, annotations, labels)

    def _there(self, role: Role) -> Iterable[str]:
        if role == "sidecar":
            yield from (f"Pod {pod.namespace}/{pod.name}" for pod in self._described.values())
            yield from (f"Deployment {namespace}/{name}" for namespace, name in self._deployments)
        else:
            found = (each for each in self._gateways.values() if each.waypoint == (role == "waypoint"))
            yield from (f"Gateway {each.namespace}/{each.name}" for each in found)


def translated(mesh: Mesh, proxy: Proxy) -> tuple[dict[str, list[Document]], list[Problem]]:
    """Documents by part, and what could not be said."""
    _, made = _built(mesh, proxy, None)
    return made.dictionary(), [_problem(each, proxy) for each in encode(made).refusals]


@dataclass(frozen=True, slots=True)
class Said:
    """What one proxy is told, what could not be said, and the names of the secrets it will ask for."""

    bundle: Bundle
    problems: tuple[Problem, ...]
    secrets: frozenset[str]


def said(
    mesh: Mesh,
    proxy: Proxy,
    before: View | None = None,
    parts: Parts | None = None,
    options: Options = DEFAULT,
    kins: Kins | None = None,
) -> tuple[View, Said | None]:
    """The view of this proxy, and what follows from it; None when the view is `before`. `parts` is what this proxy's
    translations before left, `kins` what is made for other sidecars too (with the same options)."""
    view, made = _built(mesh, proxy, before, parts, options, kins)
    if made is None:
        return view, None
    found = encode(made)
    entitled = frozenset(each for each in found.secrets if _entitled(each, view))
    return view, Said(found.bundle, tuple(_problem(each, proxy) for each in found.refusals), entitled)


def _entitled(name: str, view: View) -> bool:
    """Whether this proxy may have the secret: what its view decided, or anything of its own namespace. A name that a
    patch brings in opens nothing else."""
    bare = name.removeprefix(tls.SECRET)
    if bare == name:
        return True  # its own certificate, roots out of a ConfigMap
    decided = view.secrets if isinstance(view, GatewayView) else ()
    return bare.partition("/")[0] == view.proxy.namespace or bare.removesuffix(tls.ROOTS) in decided or bare in decided


@overload
def _built(mesh: Mesh, proxy: Proxy, before: None) -> tuple[View, Documents]: ...
@overload
def _built(
    mesh: Mesh, proxy: Proxy, before: View | None, parts: Parts | None, options: Options, kins: Kins | None
) -> tuple[View, Documents | None]: ...
def _built(
    mesh: Mesh,
    proxy: Proxy,
    before: View | None,
    parts: Parts | None = None,
    options: Options = DEFAULT,
    kins: Kins | None = None,
) -> tuple[View, Documents | None]:
    if proxy.role == "waypoint":
        behind = waypoint_projection.project(mesh, proxy, before if isinstance(before, WaypointView) else None)
        return behind, None if behind is before else waypoint.build(behind, options, parts)
    if proxy.role == "gateway":
        served = gateway_projection.project(mesh, proxy, before if isinstance(before, GatewayView) else None)
        return served, None if served is before else gateway.build(served, options, parts)
    calls = kins.calls(mesh, proxy) if kins is not None else None
    last = before if isinstance(before, SidecarView) else None
    seen = sidecar_projection.project(mesh, proxy, last, calls.view if calls is not None else None)
    return seen, None if seen is before else sidecar.build(seen, options, parts, calls)


def _problem(refusal: Refusal, proxy: Proxy) -> Problem:
    """About the object that asked for it; about the proxy where no single object did."""
    parts = refusal.source.split("/", 2)
    if len(parts) == 3 and parts[0][:1].isupper():
        kind, namespace, name = parts
        return Problem(codes.NOT_TRANSLATED, "warning", kind, namespace, name, refusal.path, refusal.message)
    text = f"{refusal.source}: {refusal.message}"
    return Problem(codes.NOT_TRANSLATED, "warning", "Pod", proxy.namespace, proxy.name, refusal.path, text)


def _made_for(pod: Pod) -> str:
    return pool.gateway_of(pod.namespace, pod.meta.labels, pod.spec.service_account_name or "default")


def _serves(pod: Pod, gateway: Gateway) -> bool:
    labels = pod.meta.labels
    if gateway.managed:
        return _made_for(pod) == f"{gateway.namespace}/{gateway.name}"
    inside = gateway.selector_namespace in ("", pod.namespace)
    return inside and bool(gateway.selector) and carries(labels, gateway.selector)
