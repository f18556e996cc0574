"""Where something runs, and what a service says about preferring what is near."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Scope = Literal["", "region", "zone", "subzone", "node", "cluster", "network"]
Balancing = Literal["", "strict", "failover", "passthrough"]


class Locality(Struct, frozen=True, gc=False):
    region: str = ""
    zone: str = ""
    subzone: str = ""


class LoadBalancing(Struct, frozen=True, gc=False):
    """How clients choose among endpoints: locality preference, what is beyond it, whether sick ones may be used."""

    preference: tuple[Scope, ...] = ()
    mode: Balancing = ""
    allow_unhealthy: bool = False
