"""The states that are compared, each in a mesh of its own: the same pods, services, pairs and policies in every one.

A node carries as many workloads as asked for, each a pod with a Service of its own name and a service account of its
own. Every workload calls one of the other node, so every request crosses between the nodes and every service is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from plait.base.wellknown import DATAPLANE_MODE, INJECT, USE_WAYPOINT

Document = dict[str, Any]
Kind = Literal["none", "sidecar", "ambient", "waypoint", "mixed"]
Member = Literal["none", "ambient", "sidecar"]
NAMESPACE: Final = "fuse"
OUTSIDER: Final = "outsider"
WAYPOINT: Final = "waypoint"
NODES: Final = ("node-1", "node-2")
PORT: Final = 8080
DENIED: Final = "/denied"
"""The path that the L7 policy of a service refuses."""


@dataclass(frozen=True, slots=True)
class State:
    """`key` is its name in tables and files; `share` of the services have an L7 policy."""

    key: str
    kind: Kind
    share: float
    title: str


@dataclass(frozen=True, slots=True)
class Workload:
    name: str
    node: str
    number: int


def states(shares: Sequence[float]) -> tuple[State, ...]:
    """M0, M1, M2, M3 for each share, M4. L7 policies of M1 and M4 are those of the first share."""
    first = shares[0]
    return (
        State("M0", "none", 0.0, "no mesh"),
        State("M1", "sidecar", first, "a sidecar in every pod"),
        State("M2", "ambient", 0.0, "L4 only, by the node proxies"),
        *(State(f"M3({each:.0%})", "waypoint", each, f"L4, and a waypoint for {each:.0%}") for each in shares),
        State("M4", "mixed", first, "half of the pods with a sidecar, half L4"),
    )


def workloads(pods: int) -> tuple[Workload, ...]:
    """`pods` on each node."""
    return tuple(Workload(f"n{place}-{n}", node, n) for place, node in enumerate(NODES, 1) for n in range(pods))


def pairs(pods: int) -> tuple[tuple[str, str], ...]:
    """(workload, service that it calls): each calls its number on the other node."""
    return tuple((f"n{here}-{n}", f"n{there}-{n}") for n in range(pods) for here, there in ((1, 2), (2, 1)))


def member(state: State, workload: Workload) -> Member:
    """In which way a pod is in the mesh. In M4 every pair of modes meets, with four workloads a node or more."""
    if state.kind in ("none", "sidecar"):
        return state.kind
    if state.kind != "mixed":
        return "ambient"
    first = workload.node == NODES[0]
    return "sidecar" if (workload.number if first else workload.number // 2) % 2 == 0 else "ambient"


def with_l7(state: State, pods: int) -> tuple[str, ...]:
    """The services with an L7 policy: at least one where the state has a share at all. In M4 those that have a sidecar,
    which needs no waypoint."""
    if not state.share:
        return ()
    found = {each.name: each for each in workloads(pods)}
    able = [name for _, name in pairs(pods) if state.kind != "mixed" or member(state, found[name]) == "sidecar"]
    return tuple(able[: max(1, round(state.share * 2 * pods))])


def documents(state: State, pods: int) -> list[Document]:
    """Everything in the order of creation."""
    l7 = with_l7(state, pods)
    found = [_object("v1", "Namespace", NAMESPACE, namespace="")]
    if state.kind == "waypoint":
        found.append(_waypoint())
    if state.kind != "none":
        found += [_strict(), _own_only()]
    for each in workloads(pods):
        behind = each.name in l7 and state.kind == "waypoint"
        found += [_object("v1", "ServiceAccount", each.name), _service(each.name, behind)]
        found.append(_pod(each.name, each.node, member(state, each)))
    found.append(_pod(OUTSIDER, NODES[0], "none"))
    return found + [_denied(name) for name in l7]


def _object(version: str, kind: str, name: str, namespace: str = NAMESPACE, **rest: Any) -> Document:
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **place}, **rest}


def _waypoint() -> Document:
    listeners = [{"name": "mesh", "port": 15008, "protocol": "HBONE"}]
    spec = {"gatewayClassName": "istio-waypoint", "listeners": listeners}
    return _object("gateway.networking.k8s.io/v1", "Gateway", WAYPOINT, spec=spec)


def _strict() -> Document:
    return _object("security.istio.io/v1", "PeerAuthentication", "strict", spec={"mtls": {"mode": "STRICT"}})


def _own_only() -> Document:
    """At L4: only this namespace's identities may call."""
    rules = [{"from": [{"source": {"namespaces": [NAMESPACE]}}]}]
    return _object("security.istio.io/v1", "AuthorizationPolicy", "own-only", spec={"action": "ALLOW", "rules": rules})


def _denied(service: str) -> Document:
    target = [{"group": "", "kind": "Service", "name": service}]
    rules = [{"to": [{"operation": {"paths": [DENIED]}}]}]
    spec = {"targetRefs": target, "action": "DENY", "rules": rules}
    return _object("security.istio.io/v1", "AuthorizationPolicy", f"denied-{service}", spec=spec)


def _service(name: str, behind: bool) -> Document:
    found = _object("v1", "Service", name)
    found["metadata"]["labels"] = {USE_WAYPOINT: WAYPOINT} if behind else {}
    found["spec"] = {"selector": {"app": name}, "ports": [{"name": "http", "port": PORT}]}
    return found


def _pod(name: str, node: str, mode: Member) -> Document:
    """The outsider has the namespace's account: nothing but the missing proxy keeps it from being let in."""
    labels = {"app": name}
    labels |= {INJECT: "true"} if mode == "sidecar" else {DATAPLANE_MODE: mode}
    found = _object("v1", "Pod", name)
    found["metadata"]["labels"] = labels
    found["spec"] = {
        "serviceAccountName": "default" if name == OUTSIDER else name,
        "terminationGracePeriodSeconds": 0,
        "nodeSelector": {"kubernetes.io/hostname": node},
        "containers": [{"name": "app", "image": "plait/echo"}],
    }
    return found
