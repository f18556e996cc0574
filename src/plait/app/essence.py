"""An object without what changes at writes that mean nothing: versions, and the status that nobody compiles.

Status is how controllers talk back, ours among them. Were it compiled, every status we write would start the next
compile; so only those parts stay that `compile` reads.
"""

from __future__ import annotations

from typing import Any

import msgspec

from plait.resources.gateway_api.gateway import Gateway, GatewayStatus
from plait.resources.gateway_api.shared import GatewayApiResource
from plait.resources.kubernetes import Service, ServiceStatus
from plait.resources.meta import IstioResource, Resource
from plait.resources.networking.service_entry import ServiceEntry, ServiceEntryStatus


def essence(each: Resource) -> Resource:
    bare: dict[str, Any] = {"meta": msgspec.structs.replace(each.meta, resource_version="", generation=0)}
    if isinstance(each, Service):
        bare["status"] = ServiceStatus(load_balancer=each.status.load_balancer)
    elif isinstance(each, ServiceEntry):
        given = each.status.addresses if each.status is not None else ()
        bare["status"] = ServiceEntryStatus(addresses=given) if given else None
    elif isinstance(each, Gateway):
        reached = each.status.addresses if each.status is not None else ()
        bare["status"] = GatewayStatus(addresses=reached) if reached else None
    elif isinstance(each, IstioResource | GatewayApiResource) and hasattr(each, "status"):
        bare["status"] = None
    return msgspec.structs.replace(each, **bare)
