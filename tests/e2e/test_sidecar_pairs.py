"""Sidecars beside ambient pods and pods of neither: who reaches whom, as whom, and what the server's proxy says."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.mesh import Mesh, mesh, until
from plait.base import netns
from plait.resources import kinds
from plait.store.api import ApiError
from plait.trial import sniff

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="enters namespaces of the host: needs root"),
]
SERVER = """
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = json.dumps({"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()},
                           "peer": self.client_address[0], "pod": os.environ.get("HOSTNAME", "")}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments): pass
http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""
ASK = """
import json, sys, urllib.error, urllib.request
headers = dict(each.split("=", 1) for each in sys.argv[2:])
try:
    with urllib.request.urlopen(urllib.request.Request(sys.argv[1], headers=headers), timeout=5) as answer:
        print(json.dumps([answer.status, json.loads(answer.read())]))
except urllib.error.HTTPError as error:
    print(json.dumps([error.code, {}]))
except OSError as error:
    print(json.dumps([0, {"why": str(error)}]))
"""
REFUSED = (0, 403, 503)
"""Closed, by the server's sidecar, by one's own sidecar whose tunnel was refused."""
MARK = "a-secret-that-must-not-be-seen"


def pod(name: str, namespace: str, node: int, server: bool = False, **metadata: Any) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "app", "image": "busybox", "command": ["sleep", "1000"]}
    if server:
        container["command"] = ["/usr/bin/python3", "-uc", SERVER]
        container["readinessProbe"] = {"httpGet": {"port": 8000, "path": "/"}, "periodSeconds": 1}
    labels = {"app": name, **metadata.pop("labels", {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels, **metadata},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": f"node-{node}"},
            "serviceAccountName": name,
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
        },
    }


def world() -> Iterator[dict[str, Any]]:
    modes = {"side": {"istio-injection": "enabled"}, "amb": {"istio.io/dataplane-mode": "ambient"}, "out": {}}
    for namespace, labels in modes.items():
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}
        for name in ("web", "client"):
            meta = {"name": name, "namespace": namespace}
            yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}
        ports = [{"name": "http", "port": 80, "targetPort": 8000}]
        spec = {"selector": {"app": "web"}, "ports": ports}
        yield {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": namespace}, "spec": spec}
        yield pod("client", namespace, 1)
        yield pod("web", namespace, 2, server=True)


class World:
    def __init__(self, mine: Mesh) -> None:
        self.mesh = mine
        self.services = {
            each: str(mine.get(kinds.SERVICE, "web", each)["spec"]["clusterIP"]) for each in ("side", "amb", "out")
        }

    def ask(self, client: str, server: str, path: str = "/", *headers: str, name: str = "client") -> tuple[int, Any]:
        """From `client`'s pod to `server`'s service: status (0: no answer) and what the application saw."""
        target = f"http://{self.services.get(server, server)}{path}"
        status, body = json.loads(self.mesh.inside(name, ASK, target, *headers, namespace=client))
        return status, body

    def status(self, client: str, server: str, path: str = "/") -> int:
        return self.ask(client, server, path)[0]

    def apply(self, *documents: dict[str, Any]) -> None:
        self.mesh.apply("\n---\n".join(json.dumps(each) for each in documents))

    def delete(self, kind: Any, name: str, namespace: str) -> None:
        self.mesh.ask(lambda api: api.delete(kind, name, namespace))


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    with mesh(f"side{os.getpid()}") as mine:
        mine.up("--nodes", "2")
        mine.apply("\n---\n".join(json.dumps(each) for each in world()))
        for namespace in ("side", "amb", "out"):
            mine.ready(namespace, "web", "client")
        mine.captured("amb", "web", "client")
        found = World(mine)
        until(lambda: found.status("side", "side") == 200, "the first request between sidecars")
        yield found


def policy(namespace: str, **spec: Any) -> dict[str, Any]:
    meta = {"name": "test", "namespace": namespace}
    return {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": meta, "spec": spec}


def strict(namespace: str) -> dict[str, Any]:
    meta = {"name": "default", "namespace": namespace}
    spec = {"mtls": {"mode": "STRICT"}}
    return {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": meta, "spec": spec}


def test_an_injected_pod_has_two_containers_ready_and_the_application_is_as_it_was(shared: World) -> None:
    found = shared.mesh.get(kinds.POD, "web", "side")
    assert [each["name"] for each in found["spec"]["containers"]] == ["app"]
    (proxy,) = found["status"]["initContainerStatuses"]
    (app,) = found["status"]["containerStatuses"]
    assert proxy["name"] == "istio-proxy" and proxy["ready"] and proxy["started"] and app["ready"]
    assert proxy["state"]["running"]["startedAt"] <= app["state"]["running"]["startedAt"]
    assert "ambient.istio.io/redirection" not in found["metadata"]["annotations"]


def tap(interface: str) -> socket.socket:
    """Every frame of an interface of the present namespace."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(sniff.ETH_P_ALL))
    raw.bind((interface, sniff.ETH_P_ALL))
    raw.setblocking(False)
    return raw


def test_nothing_readable_crosses_between_sidecars(shared: World) -> None:
    sight = sniff.Sight()
    with netns.call(shared.mesh.layout.netns("node-1"), tap, "eth0") as raw:
        status, body = shared.ask("side", "side", "/", f"x-secret={MARK}")
        time.sleep(0.2)
        with contextlib.suppress(BlockingIOError):
            while True:
                sniff.note(raw.recv(65536), (MARK.encode(),), sight)
    assert status == 200 and body["headers"]["x-secret"] == MARK
    assert sight.markers[MARK.encode()] == 0 and sight.tls_records > 0


def test_outbound_and_inbound_pass_the_proxies(shared: World) -> None:
    status, body = shared.ask("side", "side")
    assert status == 200 and body["peer"] == "127.0.0.6", "the application sees its own proxy"
    assert "x-request-id" in body["headers"]


def test_a_pod_reaches_itself_by_its_service(shared: World) -> None:
    assert json.loads(shared.mesh.inside("web", ASK, f"http://{shared.services['side']}/", namespace="side"))[0] == 200
    own = shared.mesh.address("web", "side")
    assert json.loads(shared.mesh.inside("web", ASK, f"http://{own}:8000/", namespace="side"))[0] == 200
    assert json.loads(shared.mesh.inside("web", ASK, "http://127.0.0.1:8000/", namespace="side"))[0] == 200


def test_every_pair_of_modes_speaks(shared: World) -> None:
    found = {
        (client, server): shared.status(client, server) for client in shared.services for server in shared.services
    }
    assert set(found.values()) == {200}, found


def test_strict_refuses_plaintext_and_not_the_kubelet(shared: World) -> None:
    shared.apply(strict("side"))
    try:
        until(lambda: shared.status("out", "side") == 0, "plaintext is refused")
        assert (shared.status("side", "side"), shared.status("amb", "side")) == (200, 200)
        before = shared.mesh.get(kinds.POD, "web", "side")["status"]["containerStatuses"][0]
        shared.apply(pod("late", "side", 2, server=True) | {"spec": {**pod("web", "side", 2, server=True)["spec"]}})
        shared.mesh.ready("side", "late")
        assert before["ready"] and before["restartCount"] == 0
    finally:
        shared.delete(kinds.PEER_AUTHENTICATION, "default", "side")
        shared.delete(kinds.POD, "late", "side")
    until(lambda: shared.status("out", "side") == 200, "plaintext passes again")


def test_an_l7_policy_is_applied_by_the_servers_sidecar_to_every_client(shared: World) -> None:
    rule = {"to": [{"operation": {"paths": ["/private*"]}}]}
    shared.apply(policy("side", action="DENY", selector={"matchLabels": {"app": "web"}}, rules=[rule]))
    try:
        for client in ("side", "amb", "out"):
            until(lambda: shared.status(client, "side", "/private/x") == 403, f"403 for {client}")  # noqa: B023
            assert shared.status(client, "side", "/public") == 200
    finally:
        shared.delete(kinds.AUTHORIZATION_POLICY, "test", "side")


@pytest.mark.parametrize("client", ["side", "amb"])
@pytest.mark.parametrize("server", ["side", "amb"])
def test_the_clients_identity_is_what_policies_see_whatever_the_modes(shared: World, client: str, server: str) -> None:
    other = {"side": "amb", "amb": "side"}[client]
    allowed = {"from": [{"source": {"principals": [f"cluster.local/ns/{client}/sa/client"]}}]}
    shared.apply(policy(server, action="ALLOW", rules=[allowed]))
    try:
        until(lambda: shared.status(other, server) in REFUSED, "another identity is refused")
        assert shared.status("out", server) in REFUSED, "no identity is refused"
        until(lambda: shared.status(client, server) == 200, "the named identity passes")
    finally:
        shared.delete(kinds.AUTHORIZATION_POLICY, "test", server)
    until(lambda: shared.status(other, server) == 200, "without the policy everybody passes")


@pytest.mark.reliability(number=1)
def test_an_application_is_held_until_its_proxy_serves_also_without_native_sidecars(shared: World) -> None:
    mine = pod("held", "side", 1, annotations={"sidecar.istio.io/nativeSidecar": "false"})
    mine["spec"]["serviceAccountName"] = "client"
    mine["spec"]["containers"][0]["command"] = [
        "/usr/bin/python3",
        "-uc",
        ASK + "\nimport time; time.sleep(1000)",
        f"http://{shared.services['side']}/",
    ]
    shared.apply(mine)
    try:
        shared.mesh.ready("side", "held")
        log = ("logs", "-n", "side", "held", "-c", "app")
        until(lambda: shared.mesh.plait(*log).stdout != "", "it has asked")
        assert json.loads(shared.mesh.plait(*log).stdout)[0] == 200
        status = shared.mesh.get(kinds.POD, "held", "side")["status"]["containerStatuses"]
        assert sorted(each["name"] for each in status) == ["app", "istio-proxy"]
    finally:
        shared.delete(kinds.POD, "held", "side")


def test_ports_excluded_by_annotation_go_their_own_way(shared: World) -> None:
    out, into = (f"traffic.sidecar.istio.io/exclude{which}" for which in ("OutboundPorts", "InboundPorts"))
    mine = pod("partly", "side", 1, server=True, annotations={out: "8000", into: "8000"})
    mine["spec"]["serviceAccountName"] = "client"
    shared.apply(mine)
    try:
        shared.mesh.ready("side", "partly")
        own, server = shared.mesh.address("partly", "side"), shared.mesh.address("web", "side")
        _, direct = shared.ask("side", f"{server}:8000", name="partly")
        assert "x-request-id" not in direct["headers"] or "x-forwarded-client-cert" not in direct["headers"]
        _, seen = shared.ask("out", f"{own}:8000")
        assert seen["peer"] == shared.mesh.address("client", "out"), "no proxy stood between"
    finally:
        shared.delete(kinds.POD, "partly", "side")


def test_rules_taken_away_by_hand_come_back(shared: World) -> None:
    space = shared.mesh.space("client", "side")
    subprocess.run(["nsenter", f"--net={space}", "iptables", "-t", "nat", "-F", "ISTIO_OUTPUT"], check=True)

    def back() -> bool:
        saved = subprocess.run(["nsenter", f"--net={space}", "iptables-save"], capture_output=True, text=True).stdout
        return "--to-ports 15001" in saved

    until(back, "the redirect is there again", 20)
    assert shared.status("side", "side") == 200


def test_a_pod_that_says_nonsense_is_refused_when_it_is_written(shared: World) -> None:
    mine = pod("bad", "side", 1, annotations={"traffic.sidecar.istio.io/excludeInboundPorts": "http"})
    mine["spec"]["serviceAccountName"] = "client"
    with pytest.raises(ApiError, match="want numbers from 1 to 65535"):
        shared.mesh.ask(lambda api: api.create(kinds.POD, mine, "side"))


def test_a_deleted_pod_leaves_no_folder_and_no_exemption(shared: World) -> None:
    mine = pod("gone", "side", 1)
    mine["spec"]["serviceAccountName"] = "client"
    shared.apply(mine)
    shared.mesh.ready("side", "gone")
    uid, address = shared.mesh.get(kinds.POD, "gone", "side")["metadata"]["uid"], shared.mesh.address("gone", "side")
    folder = Path(shared.mesh.layout.proxies) / uid
    assert (folder / "xds.sock").exists()
    shared.delete(kinds.POD, "gone", "side")
    until(lambda: not folder.exists(), "its folder is gone")
    command = ["nsenter", f"--net={shared.mesh.layout.netns('node-1')}", "iptables-save"]
    assert f"{address}/32" not in subprocess.run(command, capture_output=True, text=True).stdout
