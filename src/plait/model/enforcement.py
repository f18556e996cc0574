"""Where a policy or route is enforced: one pure function of client mode, server mode and kind. Views ask it.

Every cell has exactly one point, or `nowhere` with the reason and the way out. What may not be skipped names its
`guard`: the proxy beside the server that refuses whatever did not pass the point. The whole table is in
`tests/unit/model/test_enforcement.py`; how a guard is carried out, in `model.guard`.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from plait.model.modes import Mode

ClientMode = Literal["none", "ambient", "ambient+waypoint", "sidecar", "gateway"]
"""How the client is in the mesh; whether a waypoint stands before the CLIENT changes nothing of what it calls."""
ServerMode = Literal["none", "none+waypoint", "ambient", "ambient+waypoint", "sidecar", "sidecar+waypoint", "gateway"]
"""`+waypoint`: a waypoint stands before the service or workload that is called; `none+waypoint` is egress."""
Kind = Literal[
    "l4-policy",
    "l7-policy",
    "waypoint-policy",
    "rate-limit",
    "load-limit",
    "authentication",
    "route",
    "balancing",
    "peer-mode",
]
"""l4-policy: selector or namespace, only L4 attributes. l7-policy: the same with HTTP attributes. waypoint-policy:
AuthorizationPolicy or RequestAuthentication attached by targetRefs to a Service, ServiceEntry or Gateway.
rate-limit: LimitPolicy that counts requests, load-limit: its other sections, which protect the server from load only.
authentication: request tokens by selector. route: VirtualService, HTTPRoute and everything they hold. balancing:
DestinationRule. peer-mode: PeerAuthentication."""
Point = Literal[
    "client sidecar", "gateway", "waypoint", "server node proxy", "server sidecar", "server gateway", "nowhere"
]


class Decision(Struct, frozen=True, gc=False):
    """`guard`: who refuses what did not pass `point` (of `nowhere`: all the policy is about). "": nobody has to."""

    point: Point
    reason: str = ""
    guard: Point | Literal[""] = ""


_BY_CLIENT: dict[ClientMode, Point] = {"sidecar": "client sidecar", "gateway": "gateway"}
_AT_SERVER: dict[ServerMode, Point] = {
    "ambient": "server node proxy",
    "ambient+waypoint": "server node proxy",
    "sidecar": "server sidecar",
    "sidecar+waypoint": "server sidecar",
    "gateway": "server gateway",
}
_NO_WAYPOINT = "the node proxy reads no HTTP; give the service a waypoint"
_NOT_IN_MESH = "the server is not in the mesh; enrol it"
_OUTSIDER = "a client outside the mesh does not pass the waypoint; enrol it or let it come through a gateway"


def server_mode(mode: Mode, waypoint: bool) -> ServerMode:
    """How a workload is called that is in the mesh by `mode`."""
    behind: dict[Mode, ServerMode] = {
        "none": "none+waypoint",
        "ambient": "ambient+waypoint",
        "sidecar": "sidecar+waypoint",
    }
    return behind[mode] if waypoint else mode


def decide(client: ClientMode, server: ServerMode, kind: Kind) -> Decision:
    """The one point that enforces `kind` for requests from such a client to such a server."""
    match kind:
        case "l4-policy" | "peer-mode":
            point = _AT_SERVER.get(server)
            return Decision(point) if point is not None else Decision("nowhere", _NOT_IN_MESH)
        case "l7-policy" | "authentication":
            return _workload(server, kind)
        case "waypoint-policy" | "rate-limit":
            return _attached(client, server)
        case "load-limit":  # what would be refused for want of it is what it is there to keep
            return msgspec.structs.replace(_attached(client, server), guard="")
        case _:
            return _routed(client, server)


def _behind(server: ServerMode) -> bool:
    return server.endswith("+waypoint")


def _workload(server: ServerMode, kind: Kind) -> Decision:
    point = _AT_SERVER.get(server)
    if point is None:
        return Decision("nowhere", _NOT_IN_MESH)
    if point != "server node proxy":
        return Decision(point)
    reason = "a policy by selector binds the workload, whose node proxy reads no HTTP; attach it by targetRefs"
    # Tokens alone forbid nothing: what asks for them is an L7 policy, which is guarded.
    return Decision("nowhere", reason, point if kind == "l7-policy" else "")


def _attached(client: ClientMode, server: ServerMode) -> Decision:
    guard: Point | Literal[""] = _AT_SERVER.get(server, "")
    if _behind(server):
        return Decision("nowhere", _OUTSIDER, guard) if client == "none" else Decision("waypoint", guard=guard)
    if server == "none":
        return Decision("nowhere", _NOT_IN_MESH)
    if server == "ambient":
        return Decision("nowhere", _NO_WAYPOINT, guard)
    return Decision(_AT_SERVER[server])


def _routed(client: ClientMode, server: ServerMode) -> Decision:
    if server == "gateway":
        return Decision("server gateway")
    if _behind(server) and client != "none":
        return Decision("waypoint")
    if client in _BY_CLIENT:
        return Decision(_BY_CLIENT[client])
    if client == "none":
        return Decision("nowhere", "the client has no proxy; enrol it or let it come through a gateway")
    return Decision("nowhere", f"nothing between client and server reads HTTP: {_NO_WAYPOINT}, or the client a sidecar")
