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
