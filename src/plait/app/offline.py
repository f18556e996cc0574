"""Manifests to what proxies would be told, with no mesh running: the same compile, project, translate and encode.

What only a running mesh knows is assumed, and only that: enrolled pods count as captured (no agent can say so), and a
pod that has an address but no conditions counts as ready. For sidecars, waypoints and gateways see also `standins`.
No IO.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor

from plait.app import certificates, standins, written_status
from plait.app.asked import Asked, translated
from plait.app.gathering import Gathering
from plait.base.wellknown import REDIRECTION
from plait.envoy.roles import node as role
from plait.model.compile import compile
from plait.model.compile.traffic.mesh_settings import CONFIG_MAP
from plait.model.mesh import Mesh, Settings
from plait.model.modes import wanted_mode
from plait.model.proxies import Role
from plait.model.views.asking import proxy_of
from plait.model.views.node import NodeState, PodState, project
from plait.resources import codes, kinds
from plait.resources.kubernetes import Condition, ConfigMap, Namespace, Node, Pod
from plait.resources.meta import ObjectMeta
from plait.resources.objects import Objects, from_documents
from plait.resources.problems import Problem, ordered
from plait.wds import messages as wire
from plait.wds.encode import encode

Document = dict[str, Any]
NETNS: Final = "/run/netns/"


class World:
    """The mesh these documents make."""

    def __init__(
        self,
        documents: Iterable[Document],
        settings: Settings,
        problems: Iterable[Problem] = (),
        config: str | None = None,
    ) -> None:
        """`config` is the text of the mesh configuration, when it comes beside the documents."""
        placed = [_placed(document) for document in documents]
        objects, wrong = from_documents(placed)
        self.objects = _captured(objects)
        if config is not None:
            meta = ObjectMeta(name=CONFIG_MAP, namespace=settings.root_namespace)
            self.objects = self.objects.with_(ConfigMap(meta=meta, data={"mesh": config}))
        self.deployments = standins.deployments(placed)
        self.mesh, found = compile(self.objects, settings=settings)
        self._read = (*problems, *wrong)
        self.problems = self._ordered(found, config is not None)
        self._configured = config is not None

    def l7(self, role: Role, namespace: str, name: str) -> Document:
        """What this sidecar, waypoint or gateway would be told. UnknownProxy when there is none of the name."""
        asked = Asked(self.objects, self.deployments, self.mesh, _assumed_in(self.objects))
        uid = f"{self.mesh.settings.cluster_id}//Pod/{'/'.join(asked.pod(role, namespace, name))}"
        mesh, found = compile(asked.objects, self.mesh)
        proxy = proxy_of(mesh, uid, role)
        assert proxy is not None, uid
        made, refused = translated(mesh, proxy)
        problems = ordered((*self._ordered(found, self._configured), *asked.problems, *refused))
        made["secrets"] = [certificates.shown(each["name"], self.objects) for each in made["secrets"]]
        if not made["extensions"]:
            del made["extensions"]
        return {"problems": _told(problems), **made}

    def _ordered(self, found: Iterable[Problem], configured: bool) -> tuple[Problem, ...]:
        """Whoever gave the mesh configuration as a file has its mistakes by the name of the file."""
        kept = (each for each in found if not (configured and (each.kind, each.name) == ("MeshConfig", "mesh")))
        return ordered((*self._read, *kept))

    def node_of(self, namespace: str, pod: str) -> Document:
        """What the Envoy of this pod's node would be told. UnknownProxy when there is no such pod."""
        asked = Asked(self.objects, self.deployments, self.mesh, _assumed_in(self.objects))
        name = asked.node(namespace, pod)
        self.objects = asked.objects
        self.mesh, found = compile(self.objects, self.mesh)
        self.problems = ordered((*self._ordered(found, self._configured), *asked.problems))
        return self.node(name)

    def described(self) -> Mesh:
        """The mesh with a stand-in for whatever is not running (see `standins`)."""
        asked = Asked(self.objects, self.deployments, self.mesh, _assumed_in(self.objects))
        for gateway in self.mesh.l7.gateways.values():
            if gateway.managed:
                asked.pod("waypoint" if gateway.waypoint else "gateway", gateway.namespace, gateway.name)
        asked.addresses()
        return compile(asked.objects, self.mesh)[0]

    def node(self, name: str) -> Document:
        """What the Envoy of this node would be told, by Envoy's words."""
        here = [pod for pod in self.objects.all(Pod).values() if pod.spec.node_name == name]
        pods = [pod for pod in here if pod.meta.annotations.get(REDIRECTION) == "enabled"]
        state = NodeState(name, tuple(_state(pod) for pod in pods if pod.addresses))
        known = here or ("", name) in self.objects.all(Node)
        text = "no Node of this name is described and no pod has it in spec.nodeName; name one that is"
        missing = () if known else (Problem(codes.MISSING, "error", "Node", "", name, "metadata.name", text),)
        unreachable = tuple(_without_address(pod) for pod in pods if not pod.addresses)
        problems = ordered((*self.problems, *missing, *unreachable))
        return {"problems": _told(problems), **role.documents(project(self.mesh, state))}

    def wds(self) -> Document:
        """What a ztunnel would be told, as the protocol's messages with its field names."""
        bundle = encode(self.mesh).bundle
        return {
            "problems": _told(self.problems),
            "addresses": [_message(wire.Address, each.value) for each in bundle.of(wire.ADDRESS_TYPE).values()],
            "authorizations": [
                _message(wire.Authorization, each.value) for each in bundle.of(wire.AUTHORIZATION_TYPE).values()
            ],
        }

    def status(self) -> Document:
        """What would be written to the objects' status."""
        statuses = Gathering().of(self.objects, self.mesh, self.problems)
        written = written_status.written(statuses, self.objects)
        return {"problems": _told(self.problems), "statuses": list(written)}


def failed(document: Document) -> bool:
    """Was something wrong enough that an object is not in effect?"""
    return any(problem["severity"] == "error" for problem in document["problems"])


def _placed(document: Document) -> Document:
    """With the namespace that a client would have filled in."""
    kind, metadata = kinds.by_document(document), document.get("metadata")
    if kind is None or not kind.namespaced or not isinstance(metadata, dict) or metadata.get("namespace"):
        return document
    return {**document, "metadata": {**metadata, "namespace": "default"}}


def _captured(objects: Objects) -> Objects:
    assumed = _assumed_in(objects)
    return objects.with_(*(assumed(pod) for pod in objects.all(Pod).values()))


def _assumed_in(objects: Objects) -> Callable[[Pod], Pod]:
    spaces = objects.all(Namespace)
    return lambda pod: _assumed(pod, spaces.get(("", pod.namespace)))


def _assumed(pod: Pod, space: Namespace | None) -> Pod:
    meta, labels = pod.meta, space.meta.labels if space is not None else {}
    if wanted_mode(meta.labels, meta.annotations, labels, pod.spec.host_network) == "ambient":
        annotations = {**meta.annotations, REDIRECTION: "enabled"}
        pod = msgspec.structs.replace(pod, meta=msgspec.structs.replace(meta, annotations=annotations))
    if pod.addresses and not pod.status.conditions:
        ready = (Condition(type="Ready", status="True"),)
        phase = pod.status.phase if pod.status.phase not in ("", "Pending") else "Running"
        pod = msgspec.structs.replace(pod, status=msgspec.structs.replace(pod.status, conditions=ready, phase=phase))
    return pod


def _state(pod: Pod) -> PodState:
    uid = pod.meta.uid or f"{pod.namespace}/{pod.name}"
    account = pod.spec.service_account_name or "default"
    return PodState(uid, pod.namespace, pod.name, account, pod.addresses, f"{NETNS}{pod.namespace}-{pod.name}")


def _without_address(pod: Pod) -> Problem:
    text = "the pod has no address, so nothing can be said about it; give it status.podIP"
    return Problem(codes.MISSING, "warning", "Pod", pod.namespace, pod.name, "status.podIP", text)


def _message(kind: type[Any], value: bytes) -> Document:
    message = kind.FromString(value)
    document: Document = json_format.MessageToDict(message, preserving_proto_field_name=True)
    _bare(document, message.DESCRIPTOR)
    return document


def _bare(value: Document, kind: Descriptor) -> None:
    """Enum values by their own names: ours carry the enum's name in front, because a package shares one scope."""
    for field in kind.fields:
        if field.name not in value:
            continue
        inside = field.message_type
        items: Any = value[field.name] if field.is_repeated else [value[field.name]]
        if inside is not None and inside.GetOptions().map_entry:
            inside, items = inside.fields_by_name["value"].message_type, list(items.values())
        if inside is not None and not inside.full_name.startswith("google.protobuf."):
            for item in items:
                _bare(item, inside)
        elif field.enum_type is not None:
            bare = [item.removeprefix(f"{field.enum_type.name}_") for item in items]
            value[field.name] = bare if field.is_repeated else bare[0]


def _told(problems: Iterable[Problem]) -> list[Document]:
    return [msgspec.to_builtins(problem) for problem in problems]
