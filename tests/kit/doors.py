"""One application behind a real Envoy of each HTTP role on loopback, under one policy: three doors to knock at."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from kit import bypass, calls, documents, l7, tunnel, worlds
from kit.abuse import Opening
from kit.l7 import forward, route, upstream, virtual
from kit.loopback import envoy, free_port
from kit.pki import Authority
from plait.envoy.l7.options import Options
from plait.envoy.roles import gateway, sidecar, waypoint
from plait.model.l7 import L7Settings
from plait.model.views.enforced import Enforced
from plait.model.views.gateway import GatewayView, HttpChain, ServerPort
from plait.model.views.sidecar import InboundPort, SidecarView
from plait.model.views.waypoint import ServedPort, ServedService, WaypointView

Normal = Literal["base", "decode_and_merge_slashes"]
Send = Callable[[bytes], bytes]
ROLES = ("gateway", "waypoint", "sidecar")
VIP = "10.64.128.1"
POD = "127.0.0.2"
"""The sidecar's own address, so that 127.0.0.1 is somebody else's."""
CLIENT = "spiffe://cluster.local/ns/shop/sa/client"


def enforced() -> Enforced:
    """The policy as the control plane reads it from what a user writes."""
    mesh, problems = worlds.world(
        *(documents.allow(action.lower(), rules, action=action) for action, rules in bypass.POLICY.items())
    )
    assert not [each for each in problems if each.severity == "error"], problems
    return Enforced((mesh.l7.authorization["shop/deny"], mesh.l7.authorization["shop/allow"]), telemetry=l7.PROMETHEUS)


class Doors:
    """One application behind an Envoy of each role, and how each is sent bytes: on a connection (or tunnel) that is
    kept (`send`), or on one of its own (`opened`)."""

    def __init__(
        self,
        held: ExitStack,
        directory: Path,
        normal: Normal,
        only: tuple[str, ...] = ROLES,
        application: calls.Server = bypass.application,
    ) -> None:
        self._held, self._directory = held, directory
        self._settings = L7Settings(path_normalization=normal)
        self._enforced, self._authority = enforced(), Authority()
        self._app = held.enter_context(calls.served(application, "0.0.0.0"))
        self.ports: dict[str, int] = {}
        self.opened: dict[str, Opening] = {}
        made = {"gateway": self._gateway, "waypoint": self._waypoint, "sidecar": self._sidecar}
        self.send: dict[str, Send] = {role: made[role]() for role in only}

    def tls(self) -> ssl.SSLContext:
        """Of a client that the mesh knows."""
        return tunnel.context(self._authority, self._authority.issue(CLIENT))

    def _start(self, role: str, documents: l7.Document, port: int) -> None:
        folder = self._directory / role
        folder.mkdir()
        self.ports[role] = port
        document = l7.composed(documents, run=True, admin=str(folder / "admin"), authority=self._authority)
        self._held.enter_context(envoy(document, port, folder))

    def _gateway(self) -> Send:
        port = free_port()
        chain = HttpChain((), (virtual("shop", route("/", forward("web"))),), name="http.80")
        view = GatewayView(
            l7.proxy("gateway"),
            self._settings,
            (ServerPort(port, "127.0.0.1", "HTTP", (chain,)),),
            (upstream("web", "127.0.0.1", target=self._app),),
            self._enforced,
        )
        self._start("gateway", gateway.documents(view), port)
        self.opened["gateway"] = lambda: socket.create_connection(("127.0.0.1", port), 10)

        def send(sent: bytes) -> bytes:
            with socket.create_connection(("127.0.0.1", port), 10) as connection:
                connection.sendall(sent)
                found = b""
                while not bypass.whole(found) and (received := connection.recv(65536)):
                    found += received
                return found

        return send

    def _waypoint(self) -> Send:
        port = free_port()
        hosts = (virtual("web", route("/", forward("web"))),)
        ports, key = (ServedPort(80, "http", hosts),), f"shop/{l7.host('web')}"
        served = ServedService(key, l7.host("web"), "shop", "web", (VIP,), ports, self._enforced)
        view = WaypointView(
            l7.proxy("waypoint", "waypoint"),
            self._settings,
            (served,),
            (),
            (upstream("web", "127.0.0.1", target=self._app),),
            l7.ENFORCED,
            ("cluster.local",),
            port=port,
        )
        self._start("waypoint", waypoint.documents(view), port)
        return self._tunnelled("waypoint", f"{VIP}:80")

    def _sidecar(self) -> Send:
        port = free_port()
        inbound = (InboundPort(self._app, "http", "strict"),)
        view = SidecarView(
            replace(l7.proxy("sidecar", "web"), addresses=(POD,)),
            self._settings,
            (),
            (),
            (),
            "allow_any",
            None,
            inbound,
            "strict",
            self._enforced,
            tunnel=True,
        )
        self.options = options = Options(outbound_port=free_port(), inbound_port=free_port(), hbone_port=port)
        self._start("sidecar", sidecar.documents(view, options), port)
        return self._tunnelled("sidecar", f"{POD}:{self._app}")

    def _tunnelled(self, role: str, target: str) -> Send:
        tls, where = self.tls(), (POD if role == "sidecar" else "127.0.0.1", self.ports[role])
        self.opened[role] = lambda: tunnel.Pipe(socket.create_connection(where, 10), tls, target)
        tunnels = self._held.enter_context(closing(tunnel.Tunnels(socket.create_connection(where, 10), tls, target)))
        return lambda sent: tunnels.exchange(sent, bypass.whole)
