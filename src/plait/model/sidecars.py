"""SidecarScope: what one `Sidecar` object lets proxies see and take in."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, structs

from plait.model.attachment import Labels
from plait.model.gateways import ServerTls
from plait.model.http_services import PortProtocol
from plait.model.routes import Destination
from plait.model.traffic import Pool

Capture = Literal["default", "iptables", "none"]


class HostFilter(Struct, frozen=True, gc=False):
    """Services of `namespace` ("*" all, "~" none) whose name fits `host` (`*` all, `*.x`, exact)."""

    namespace: str
    host: str


class Egress(Struct, frozen=True, gc=False):
    """Hosts reachable, on all their ports (`port` 0) or on this one. With a `bind` (or `capture` none: of its own, at
    127.0.0.1) only there."""

    hosts: tuple[HostFilter, ...]
    port: int = 0
    protocol: PortProtocol = "auto"
    name: str = ""
    bind: str = ""
    capture: Capture = "default"
    proxy: bool = False
    """A generic HTTP proxy: hosts on all their ports, as the client writes them."""

    @property
    def own(self) -> bool:
        return bool(self.bind) or self.capture == "none"

    @property
    def bound(self) -> bool:
        """Applications connect to it; otherwise what was captured is handed to it."""
        return self.capture == "none" or self.bind.startswith("unix://")


class Ingress(Struct, frozen=True, gc=False):
    """A port taken in and where its traffic goes: `endpoint` is "ip:port" or "unix:///path" ("" the same port)."""

    port: int
    protocol: PortProtocol = "auto"
    name: str = ""
    bind: str = ""
    capture: Capture = "default"
    endpoint: str = ""
    tls: ServerTls | None = None
    pool: Pool | None = None


class SidecarScope(Struct, frozen=True):
    """`ingress` and `egress` None: not written, so everything by default."""

    name: str
    namespace: str
    selector: Labels = ()
    egress: tuple[Egress, ...] | None = None
    ingress: tuple[Ingress, ...] | None = None
    pool: Pool | None = None
    outbound: Literal["", "allow_any", "registry_only"] = ""
    egress_proxy: Destination | None = None
    created: str = ""

    def unredirected(self) -> SidecarScope:
        """As it holds for a proxy to which nothing is redirected: each listener is one that is connected to."""
        every = (Egress((HostFilter("*", "*"),)),)
        egress = tuple(
            structs.replace(each, capture="none") for each in (every if self.egress is None else self.egress)
        )
        ingress = self.ingress and tuple(structs.replace(each, capture="none") for each in self.ingress)
        return structs.replace(self, egress=egress, ingress=ingress)

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"
