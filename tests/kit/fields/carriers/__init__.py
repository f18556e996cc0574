"""Documents in which fields are tried: for each kind one or more objects, and what only makes sense beside them."""

from __future__ import annotations

from kit import worlds
from kit.fields import mesh
from kit.fields.carriers import extensions, gateway_api, networking, policies
from kit.fields.carriers.world import TRUST, WORLD, Document, entry

CARRIERS: dict[str, tuple[Document, ...]] = {
    mesh.MESH_CONFIG: (mesh.CARRIER,),
    **networking.CARRIERS,
    **extensions.CARRIERS,
    **policies.CARRIERS,
    **gateway_api.CARRIERS,
}
BESIDE: dict[str, tuple[Document, ...]] = {
    mesh.MESH_CONFIG: (
        mesh.JUDGED,
        worlds.rules("db", host="db.shop.svc.cluster.local", trafficPolicy={"tls": {"mode": "SIMPLE"}}),
        entry(resolution="DNS"),
    ),
    **networking.BESIDE,
    **extensions.BESIDE,
    **policies.BESIDE,
    **gateway_api.BESIDE,
}
"""Other objects that only make sense with the kind."""

__all__ = ["BESIDE", "CARRIERS", "TRUST", "WORLD"]
