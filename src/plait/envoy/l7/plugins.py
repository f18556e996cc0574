"""WasmPlugin and TrafficExtension: Wasm and Lua in the chain, by phase, side and port."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Literal

from plait.envoy.l7.context import Context
from plait.envoy.pieces import Doc, extension
from plait.model.patches import Plugin

Side = Literal["client", "server"]


def filters(
    ctx: Context, plugins: Iterable[Plugin], phase: str, side: Side, port: int, *, network: bool = False
) -> list[Doc]:
    found: list[Doc] = []
    for plugin in plugins:
        if plugin.phase != phase or plugin.script.network != network or not _applies(plugin, side, port):
            continue
        made = _filter(ctx, plugin)
        if made is not None:
            found.append(made)
    return found


def _applies(plugin: Plugin, side: Side, port: int) -> bool:
    if not plugin.matches:
        return True
    return any(which in (side, "both") and (not ports or port in ports) for which, ports in plugin.matches)


def _filter(ctx: Context, plugin: Plugin) -> Doc | None:
    script, name = plugin.script, f"{plugin.namespace}.{plugin.name}"
    if script.language == "lua":
        return extension(
            name, "envoy.extensions.filters.http.lua.v3.Lua", default_source_code={"inline_string": script.code}
        )
    path = ctx.options.modules.get(script.url) or (script.url[7:] if script.url.startswith("file://") else "")
    if not path:
        ctx.refuse(plugin.key, "spec.url", f"{script.url} was not fetched; {_without(plugin)}; use file:// or wait")
        return None if script.failure == "open" else _closed(name, script.network)
    vm: Doc = {"vm_id": name, "runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": path}}}
    if script.environment or script.host_environment:
        vm["environment_variables"] = {
            "key_values": dict(script.environment),
            "host_env_keys": list(script.host_environment),
        }
    config: Doc = {
        "name": name,
        "vm_config": vm,
        "failure_policy": {"close": "FAIL_CLOSED", "open": "FAIL_OPEN", "reload": "FAIL_RELOAD"}[script.failure],
    }
    if script.root_id:
        config["root_id"] = script.root_id
    if script.config is not None:
        text = json.dumps(script.config, sort_keys=True)
        config["configuration"] = {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": text}
    kind = "network" if script.network else "http"
    return extension(name, f"envoy.extensions.filters.{kind}.wasm.v3.Wasm", config=config)


def _without(plugin: Plugin) -> str:
    return "it is left out" if plugin.script.failure == "open" else "requests are refused"


def _closed(name: str, network: bool) -> Doc:
    policy = {f"plugin[{name}]": {"permissions": [{"any": True}], "principals": [{"any": True}]}}
    rules = {"action": "DENY", "policies": policy}
    if network:
        return extension(name, "envoy.extensions.filters.network.rbac.v3.RBAC", rules=rules, stat_prefix="plugin.")
    return extension(name, "envoy.extensions.filters.http.rbac.v3.RBAC", rules=rules)
