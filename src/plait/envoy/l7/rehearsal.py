"""EnvoyFilters in the least configuration they can stand in, so that a spare Envoy can say whether it takes them.

Not rehearsed, so that nothing good is refused: what names things of another machine (files, secrets by discovery, Wasm,
modules), what merges into something that only the whole proxy has, and what removes. Scripts are read, never run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from plait.envoy.bootstrap import RUNTIME
from plait.envoy.l7.merging import merged
from plait.envoy.l7.patch_values import TYPES
from plait.envoy.l7.spelling import proper
from plait.envoy.pieces import Doc, any_of, extension, socket_address
from plait.envoy.wire import WireError, encode
from plait.model.patches import Patch

_FILTERS: Final = "envoy.extensions.filters"
_HCM: Final = f"{_FILTERS}.network.http_connection_manager.v3.HttpConnectionManager"
_ELSEWHERE: Final = frozenset(
    {"ads", "filename", "inline_bytes", "dynamic_module_config", "vm_config", "path_config_source"}
)
_LAST: Final = ("TcpProxy", "HttpConnectionManager", "RedisProxy", "ThriftProxy", "DubboProxy", "GenericProxy")
_CLUSTERS: Final = ("cluster", "cluster_name", "collector_cluster")
UNHEARD: Final = "do return end "
"""Before a Lua script: what follows is compiled and not run, for it is not run on the control plane's behalf."""
_ROUTER: Final = extension("envoy.filters.http.router", f"{_FILTERS}.http.router.v3.Router")
_END: Final = extension(
    "envoy.filters.network.tcp_proxy", f"{_FILTERS}.network.tcp_proxy.v3.TcpProxy", stat_prefix="x", cluster="rehearsal"
)
_CLUSTER: Final[Doc] = {"name": "rehearsal", "type": "STATIC", "connect_timeout": "1s"}
_ROUTE: Final[Doc] = {"match": {"prefix": "/"}, "route": {"cluster": "rehearsal"}}


def configuration(patches: Iterable[Patch]) -> Doc | None:
    """A bootstrap for `envoy --mode validate`; None when there is nothing to rehearse."""
    listeners: list[Doc] = []
    clusters: list[Doc] = []
    for patch in patches:
        for kind, document in _placed(patch):
            (clusters if kind == "CLUSTER" else listeners).append(document)
    if not listeners and not clusters:
        return None
    for number, listener in enumerate(listeners):
        listener |= {"name": f"l{number}", "address": socket_address("127.0.0.1", number + 1)}
    known = {str(each.get("name")) for each in clusters}
    named = sorted({"rehearsal", *_named((listeners, clusters))} - known)
    clusters += [{**_CLUSTER, "name": name} for name in named]
    return {"static_resources": {"listeners": listeners, "clusters": clusters}, "layered_runtime": RUNTIME}


def _placed(patch: Patch) -> Iterator[tuple[str, Doc]]:
    kind = TYPES.get(patch.apply_to)
    if kind is None or patch.operation == "REMOVE":
        return
    value = proper(kind, patch.value)
    try:
        encode(kind, value)  # what is not Envoy's API is told by the translator
        made = _place(patch.apply_to, patch.operation == "MERGE", _unheard(value, False))
    except WireError:
        return
    if made is not None and not _elsewhere(made):
        yield patch.apply_to, made


def _place(apply_to: str, merge: bool, value: Doc) -> Doc | None:
    match apply_to, merge:
        case "HTTP_FILTER", False:
            last = str(value.get("typed_config", {}).get("@type", "")).endswith("router.v3.Router")
            return _listener(_manager(http_filters=[value] if last else [value, _ROUTER]))
        case "NETWORK_FILTER", False:
            last = str(value.get("typed_config", {}).get("@type", "")).endswith(_LAST)
            return _listener(*([value] if last else [value, _END]))
        case "NETWORK_FILTER", True if str(value.get("typed_config", {}).get("@type", "")).endswith(_HCM):
            manager = _manager()
            config = merged(manager["typed_config"], value["typed_config"])
            return None if "rds" in config else _listener({**manager, "typed_config": config})
        case "LISTENER_FILTER", False:
            return {**_listener(_END), "listener_filters": [value]}
        case "CLUSTER", _:
            return merged(_CLUSTER, value) if merge else dict(value)
        case "HTTP_ROUTE", _:
            route = merged(_ROUTE, value) if merge else value
            encode(TYPES[apply_to], route)  # the two may say the one thing that only one can
            return _listener(_manager(route_config=_routes({"name": "x", "domains": ["*"], "routes": [route]})))
        case "VIRTUAL_HOST", _:
            host = merged({"name": "x", "domains": ["rehearsal.invalid"]}, value) if merge else value
            return _listener(_manager(route_config=_routes(host)))
    return None


def _listener(*filters: Doc) -> Doc:
    return {"filter_chains": [{"filters": list(filters)}]}


def _manager(**more: Any) -> Doc:
    config: Doc = {"stat_prefix": "x", "route_config": _routes(), "http_filters": [_ROUTER], **more}
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": any_of(_HCM, **config)}


def _routes(*hosts: Doc) -> Doc:
    return {"name": "x", "validate_clusters": False, "virtual_hosts": list(hosts)}


def _unheard(value: Any, script: bool) -> Any:
    """The value with its Lua only to be compiled."""
    if isinstance(value, dict):
        script = script or ".lua." in str(value.get("@type", ""))
        return {
            key: UNHEARD + each
            if script and key in ("inline_code", "inline_string") and isinstance(each, str)
            else _unheard(each, script)
            for key, each in value.items()
        }
    return [_unheard(each, script) for each in value] if isinstance(value, list) else value


def _elsewhere(value: Any) -> bool:
    if isinstance(value, dict):
        return any(key in _ELSEWHERE or _elsewhere(each) for key, each in value.items())
    return isinstance(value, list) and any(map(_elsewhere, value))


def _named(value: Any) -> Iterator[str]:
    """Clusters that something names: they are there in the proxy, so they are here."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key in _CLUSTERS and isinstance(each, str):
                yield each
            else:
                yield from _named(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _named(each)
