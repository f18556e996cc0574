"""Filters for connections that are neither HTTP nor mere bytes: Mongo is listened to, calls of the others are served.

A call goes to whatever endpoint the balancing of the cluster chooses, so connections of clients are not those of
servers any more. Policies for connections stand before these filters (`manager.tcp`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from plait.envoy.l7 import statistics
from plait.envoy.l7.context import Context
from plait.envoy.pieces import Doc, any_of, extension
from plait.model.http_services import PortProtocol
from plait.model.routes import Destination

_NETWORK: Final = "envoy.extensions.filters.network"
_REDIS_TIMEOUT: Final = "5s"
Weighted = tuple[tuple[str, int], ...]
"""Clusters with their weights."""


def listening(protocol: PortProtocol, name: str) -> list[Doc]:
    """Filters that count what passes and change nothing; what they cannot read passes uncounted."""
    if protocol != "mongo":
        return []
    config = f"{_NETWORK}.mongo_proxy.v3.MongoProxy"
    return [extension("envoy.filters.network.mongo_proxy", config, stat_prefix=statistics.delimited(name))]


def serving(
    ctx: Context, protocol: PortProtocol, name: str, destinations: tuple[Destination, ...], logs: list[Doc]
) -> Doc | None:
    """The filter that ends connections of this protocol and sends calls on; None where bytes are passed on."""
    make = _SERVED.get(protocol)
    if make is None or not destinations:
        return None
    for each in destinations:
        found = ctx.upstream(each)
        if found is not None and found.resolution == "none":
            ctx.refuse(
                "", f"{each.hostname}:{each.port}", f"{protocol} calls need endpoints to choose from; bytes pass"
            )
            return None
    if protocol == "redis" and len(destinations) > 1:
        ctx.refuse("", f"{name}: weights", "Redis commands cannot be parted by weight, connections are; name one")
        return None
    weighted = tuple((ctx.tcp_cluster_of(each), each.weight) for each in destinations)
    return make(statistics.delimited(name), weighted, logs)


def _redis(prefix: str, to: Weighted, logs: list[Doc]) -> Doc:
    """Every key to one cluster, whose consistent hash (if it has one) parts keys among endpoints."""
    settings = {"op_timeout": _REDIS_TIMEOUT, "enable_hashtagging": True, "enable_command_stats": True}
    return extension(
        "envoy.filters.network.redis_proxy",
        f"{_NETWORK}.redis_proxy.v3.RedisProxy",
        stat_prefix=prefix,
        settings=settings,
        latency_in_micros=True,
        prefix_routes={"catch_all_route": {"cluster": to[0][0]}},
    )


def _thrift(prefix: str, to: Weighted, logs: list[Doc]) -> Doc:
    router = extension("envoy.filters.thrift.router", f"{_NETWORK}.thrift_proxy.router.v3.Router")
    return extension(
        "envoy.filters.network.thrift_proxy",
        f"{_NETWORK}.thrift_proxy.v3.ThriftProxy",
        stat_prefix=prefix,
        route_config={"name": prefix, "routes": [{"match": {"method_name": ""}, "route": _clusters(to)}]},
        thrift_filters=[router],
        access_log=logs,
    )


def _dubbo(prefix: str, to: Weighted, logs: list[Doc]) -> Doc:
    every = {"method": {"name": {"safe_regex": {"regex": ".*"}}}}
    router = {"name": "envoy.filters.dubbo.router", "config": any_of(f"{_NETWORK}.dubbo_proxy.router.v3.Router")}
    routes = {"name": prefix, "interface": "*", "routes": [{"match": every, "route": _clusters(to)}]}
    return extension(
        "envoy.filters.network.dubbo_proxy",
        f"{_NETWORK}.dubbo_proxy.v3.DubboProxy",
        stat_prefix=prefix,
        multiple_route_config={"name": prefix, "route_config": [routes]},
        dubbo_filters=[router],
    )


def _clusters(to: Weighted) -> Doc:
    if len(to) == 1:
        return {"cluster": to[0][0]}
    return {"weighted_clusters": {"clusters": [{"name": name, "weight": weight} for name, weight in to]}}


_SERVED: Final[dict[PortProtocol, Callable[[str, Weighted, list[Doc]], Doc]]] = {
    "redis": _redis,
    "thrift": _thrift,
    "dubbo": _dubbo,
}
