"""WasmPlugin and TrafficExtension: Wasm modules and Lua scripts in the proxies' filter chains."""

from __future__ import annotations

from typing import Annotated, Literal

from plait.resources.markers import Int32, Model, Port, Struct, Text, keyed, limit
from plait.resources.meta import IstioResource
from plait.resources.networking.traffic import LabelMatch, TargetReference, TargetReferences

_Sha256 = Annotated[str, limit(pattern=r"(^$|^[a-f0-9]{64}$)")]
_Secret = Annotated[str, limit(minLength=1, maxLength=253)]
PluginType = Literal["UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK"]
PullPolicy = Literal["UNSPECIFIED_POLICY", "IfNotPresent", "Always"]
FailStrategy = Literal["FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"]


class EnvVar(Model, frozen=True, kw_only=True):
    """An environment variable of the Wasm VM."""

    name: Annotated[str, limit(minLength=1, maxLength=256)]
    value_from: Literal["INLINE", "HOST"] = "INLINE"
    value: Annotated[str, limit(maxLength=2048)] | None = None


class VmConfig(Model, frozen=True, kw_only=True):
    """The VM the module runs in."""

    env: Annotated[tuple[EnvVar, ...], limit(maxItems=256), keyed("name")] = ()


class PortNumber(Model, frozen=True, kw_only=True):
    """A port."""

    number: Port


class TrafficSelector(Model, frozen=True, kw_only=True):
    """Traffic by side and port."""

    mode: Literal["UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER"] = "UNDEFINED"
    ports: Annotated[tuple[PortNumber, ...], keyed("number")] = ()


class WasmPluginSpec(Model, frozen=True, kw_only=True):
    """A Wasm module: where it is fetched from, where in the chain it stands, its configuration."""

    selector: LabelMatch | None = None
    target_ref: TargetReference | None = None
    target_refs: TargetReferences = ()
    url: Text
    sha256: _Sha256 = ""
    image_pull_policy: PullPolicy = "UNSPECIFIED_POLICY"
    image_pull_secret: _Secret = ""
    verification_key: str = ""
    plugin_config: Struct | None = None
    plugin_name: Annotated[str, limit(minLength=1, maxLength=256)] = ""
    phase: Literal["UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"] = "UNSPECIFIED_PHASE"
    priority: Int32 | None = None
    fail_strategy: FailStrategy = "FAIL_CLOSE"
    vm_config: VmConfig | None = None
    match: tuple[TrafficSelector, ...] = ()
    type: PluginType = "UNSPECIFIED_PLUGIN_TYPE"


class WasmPlugin(IstioResource, frozen=True, kw_only=True):
    """A Wasm extension of proxies."""

    spec: WasmPluginSpec


class WasmConfig(Model, frozen=True, kw_only=True):
    """The Wasm module of a TrafficExtension."""

    url: Text
    sha256: _Sha256 = ""
    image_pull_policy: PullPolicy = "UNSPECIFIED_POLICY"
    image_pull_secret: _Secret = ""
    verification_key: str = ""
    plugin_config: Struct | None = None
    plugin_name: Annotated[str, limit(minLength=1, maxLength=256)] = ""
    fail_strategy: FailStrategy = "FAIL_CLOSE"
    vm_config: VmConfig | None = None
    type: PluginType = "UNSPECIFIED_PLUGIN_TYPE"


class LuaConfig(Model, frozen=True, kw_only=True):
    """The Lua script of a TrafficExtension."""

    inline_code: Annotated[str, limit(minLength=1, maxLength=65536)]


class TrafficExtensionSpec(Model, frozen=True, kw_only=True):
    """An extension of the chain: Wasm or Lua."""

    selector: LabelMatch | None = None
    target_refs: TargetReferences = ()
    match: tuple[TrafficSelector, ...] = ()
    phase: Literal["UNSPECIFIED", "AUTHN", "AUTHZ", "STATS"] = "UNSPECIFIED"
    priority: Int32 | None = None
    wasm: WasmConfig | None = None
    lua: LuaConfig | None = None


class TrafficExtension(IstioResource, frozen=True, kw_only=True):
    """A Wasm or Lua extension of proxies."""

    spec: TrafficExtensionSpec
