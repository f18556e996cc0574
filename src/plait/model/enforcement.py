"""Where a policy or route is enforced: one pure function of client mode, server mode and kind. Views ask it.

Every cell has exactly one point, or `nowhere` with the reason and the way out; what cannot be enforced is refused by
`guard`, so it is never skipped. See `tests/unit/model/test_enforcement.py` for the whole table.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

ClientMode = Literal["none", "ambient", "ambient+waypoint", "sidecar", "gateway"]
"""How the client is in the mesh; whether a waypoint stands before the CLIENT changes nothing of what it calls."""
ServerMode = Literal["none", "ambient", "ambient+waypoint", "sidecar", "gateway"]
"""`ambient+waypoint`: a waypoint stands before the service or workload that is called."""
Kind = Literal["l4-policy", "l7-policy", "waypoint-policy", "authentication", "route", "balancing", "peer-mode"]
"""l4-policy: selector or namespace, only L4 attributes. l7-policy: the same with HTTP attributes. waypoint-policy:
attached by targetRefs to a Service, ServiceEntry or Gateway. authentication: request tokens by selector. route:
VirtualService, HTTPRoute and everything they hold. balancing: DestinationRule. peer-mode: PeerAuthentication."""
Point = Literal[
    "client sidecar", "gateway", "waypoint", "server node proxy", "server sidecar", "server gateway", "nowhere"
]


class Decision(Struct, frozen=True, gc=False):
    """`guard`: who refuses the request while nobody can enforce it ("" nobody has to: it is only not applied)."""

    point: Point
    reason: str = ""
    guard: Point | Literal[""] = ""


_MESHED: frozenset[str] = frozenset({"ambient", "ambient+waypoint", "sidecar", "gateway"})
_BY_CLIENT: dict[str, Point] = {"sidecar": "client sidecar", "gateway": "gateway"}
_AT_SERVER: dict[str, Point] = {
    "ambient": "server node proxy",
    "ambient+waypoint": "server node proxy",
    "sidecar": "server sidecar",
    "gateway": "server gateway",
}
_NO_WAYPOINT = "the node proxy reads no HTTP; give the service a waypoint"
_NOT_IN_MESH = "the server is not in the mesh; enrol it"


def decide(client: ClientMode, server: ServerMode, kind: Kind) -> Decision:
    """The one point that enforces `kind` for requests from such a client to such a server."""
    match kind:
        case "l4-policy" | "peer-mode":
            point = _AT_SERVER.get(server)
            return Decision(point) if point is not None else Decision("nowhere", _NOT_IN_MESH)
        case "l7-policy" | "authentication":
            return _workload(server, kind)
        case "waypoint-policy":
            return _attached(client, server)
        case _:
            return _routed(client, server)


def _workload(server: ServerMode, kind: Kind) -> Decision:
    if server in ("sidecar", "gateway"):
        return Decision(_AT_SERVER[server])
    if server == "none":
        return Decision("nowhere", _NOT_IN_MESH)
    reason = "a policy by selector binds the workload, whose node proxy reads no HTTP; attach it by targetRefs"
    # Tokens alone forbid nothing: what asks for them is an L7 policy, which is guarded.
    return Decision("nowhere", reason, "server node proxy" if kind == "l7-policy" else "")


def _attached(client: ClientMode, server: ServerMode) -> Decision:
    if server == "none":
        return Decision("nowhere", _NOT_IN_MESH)
    if server in ("sidecar", "gateway"):
        return Decision(_AT_SERVER[server])
    if server == "ambient":
        return Decision("nowhere", _NO_WAYPOINT, "server node proxy")
    if client == "none":
        reason = "a client outside the mesh does not pass the waypoint; enrol it or let it come through a gateway"
        return Decision("nowhere", reason, "server node proxy")
    return Decision("waypoint")


def _routed(client: ClientMode, server: ServerMode) -> Decision:
    if server == "gateway":
        return Decision("server gateway")
    if server == "ambient+waypoint" and client in _MESHED:
        return Decision("waypoint")
    if client in _BY_CLIENT:
        return Decision(_BY_CLIENT[client])
    if client == "none":
        return Decision("nowhere", "the client has no proxy; enrol it or let it come through a gateway")
    return Decision("nowhere", f"nothing between client and server reads HTTP: {_NO_WAYPOINT}, or the client a sidecar")
