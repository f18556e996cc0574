"""The one table of HTTP filters: what stands before what, in every role."""

from __future__ import annotations

from typing import Final, Literal

Slot = Literal[
    "on_demand",
    "pinned",
    "grpc_web",
    "external",
    "authn_plugins",
    "tokens",
    "route_external",
    "authz_plugins",
    "authorization",
    "limits",
    "stats_plugins",
    "plugins",
    "grpc_stats",
    "session",
    "cors",
    "fault",
    "router",
]
ORDER: Final[tuple[Slot, ...]] = (
    "on_demand",  # it begins the request anew once the cluster has come: nothing may have acted before
    "pinned",  # to the pod that was dialed
    "cors",  # preflights carry no credentials, so they are answered before anybody asks for some
    "grpc_web",
    "external",
    "authn_plugins",
    "tokens",
    "route_external",
    "authz_plugins",
    "authorization",
    "limits",  # who is refused does not count
    "stats_plugins",
    "plugins",
    "grpc_stats",
    "fault",
    "session",
    "router",
)
