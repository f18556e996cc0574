"""What all matches of patches share: whose proxies a context means, and what names of documents do not say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from plait.envoy.pieces import Doc
from plait.model.patches import Patch

ADDED = ("ADD", "INSERT_FIRST")
Test = Callable[[Doc], bool]


@dataclass(frozen=True, slots=True)
class Known:
    """What matches ask and the names of documents do not say."""

    ports: Mapping[int, frozenset[int]] = field(default_factory=dict)
    """Of a gateway: where it listens -> the ports of servers that lead there, where those are others."""
    hosts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Hosts of services by the name of the cluster that leads into the pod for them."""


def ours(patch: Patch, role: str, direction: str) -> bool:
    """`direction` of a listener or cluster narrows a sidecar's contexts; "" does not."""
    if "waypoint" in patch.match and role != "waypoint":
        return False
    match patch.context:
        case "any":
            return True
        case "gateway" | "waypoint":
            return patch.context == role
        case "sidecar_inbound":
            return role == "sidecar" and direction in ("", "INBOUND")
        case _:
            return role == "sidecar" and direction in ("", "OUTBOUND")
