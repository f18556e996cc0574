"""EnvoyFilter, WasmPlugin and TrafficExtension as opaque additions: where they apply, and what is laid over.

The model only decides which proxies get them, and in which order; what a patch means is the translator's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from plait.model.attachment import Attachment, Labels

Phase = Literal["", "authn", "authz", "stats"]


class Patch(Struct, frozen=True):
    """One entry of an EnvoyFilter. `match` and `value` are as written (camelCase JSON); `context` is in lower case."""

    apply_to: str
    context: Literal["any", "sidecar_inbound", "sidecar_outbound", "gateway", "waypoint"]
    operation: str
    value: Mapping[str, Any]
    match: Mapping[str, Any]
    proxy_version: str = ""
    proxy_metadata: Labels = ()
    path: str = ""
    """Field of the object, for problems: spec.configPatches[0]."""


class PatchSet(Struct, frozen=True):
    """One EnvoyFilter. Order: priority, then root namespace first, then age, name."""

    name: str
    namespace: str
    attachment: Attachment
    patches: tuple[Patch, ...]
    priority: int = 0
    created: str = ""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def order(self) -> tuple[int, bool, str, str, str]:
        return self.priority, not self.attachment.everywhere, self.created, self.name, self.namespace


class Script(Struct, frozen=True):
    """What runs: Wasm by URL (file, http, oci) or inline Lua."""

    language: Literal["wasm", "lua"]
    url: str = ""
    code: str = ""
    config: Mapping[str, Any] | None = None
    root_id: str = ""
    environment: Labels = ()
    host_environment: tuple[str, ...] = ()
    failure: Literal["close", "open", "reload"] = "close"
    network: bool = False
    """A filter for connections, not for requests."""


class Plugin(Struct, frozen=True):
    """A script in the filter chain. Within a phase the higher priority runs first."""

    kind: Literal["WasmPlugin", "TrafficExtension"]
    name: str
    namespace: str
    attachment: Attachment
    script: Script
    phase: Phase = ""
    priority: int | None = None
    matches: tuple[tuple[Literal["client", "server", "both"], tuple[int, ...]], ...] = ()
    """(side, ports); none: all traffic."""
    created: str = ""

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"

    @property
    def order(self) -> tuple[int, str, str, str]:
        return -(self.priority or 0), self.created, self.namespace, self.name
