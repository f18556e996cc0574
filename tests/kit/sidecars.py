"""A world of sidecars: a namespace with injection, a server that says who asked, a client, and HTTP load."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import yaml

from kit.mesh import Mesh, until
from plait.resources import kinds

NAMESPACE = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
"""
SERVER = r"""
import json, os, signal, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        said = {"pod": os.environ["HOSTNAME"], "peer": self.client_address[0], "headers": dict(self.headers)}
        body = json.dumps(said).encode()
        self.send_response(200); self.send_header("content-length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"])); self.do_GET()
    def log_message(self, *_): pass
server = ThreadingHTTPServer(("", int(sys.argv[1])), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
"""
ASK = r"""
import http.client, json, sys
host, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
try:
    c = http.client.HTTPConnection(host, port, timeout=5); c.request("GET", path); answer = c.getresponse()
    print(json.dumps([answer.status, answer.getheader("server"), answer.read().decode(errors="replace")]))
except OSError as error:
    print(json.dumps([0, None, repr(error)]))
"""
PEERS = r"""
import json, socket, struct
found = []
for line in open("/proc/net/tcp").read().splitlines()[1:]:
    host, port = line.split()[2].split(":")
    if line.split()[3] == "01":
        found.append([socket.inet_ntoa(struct.pack("<I", int(host, 16))), int(port, 16)])
print(json.dumps(found))
"""
LOAD = r"""
import asyncio, json, sys
from plait.trial import load
async def main():
    stop = asyncio.Event()
    plans = [load.Plan(sys.argv[1], int(sys.argv[2]), rate=40, keep_alive=kept) for kept in (True, False)]
    running = [asyncio.ensure_future(load.run(plan, stop)) for plan in plans]
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    stop.set()
    found = await asyncio.gather(*running)
    lost = [{**r.lost, **{s: n for s, n in r.statuses.items() if s != 200}} for r in found]
    print(json.dumps({"sent": sum(r.sent for r in found), "lost": lost}))
asyncio.run(main())
"""


def pod(name: str, command: list[str], node: str, annotations: dict[str, str] | None = None, **spec: Any) -> str:
    """A Pod of namespace shop with label app=NAME, as YAML."""
    container = {"name": "c", "image": "python", "command": command, "env": [{"name": "HOSTNAME", "value": name}]}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": "shop",
                "labels": {"app": name},
                "annotations": annotations or {},
            },
            "spec": {
                "nodeSelector": {"kubernetes.io/hostname": node},
                "terminationGracePeriodSeconds": 1,
                "containers": [container],
                **spec,
            },
        }
    )


def server(name: str, node: str, port: int = 8000, annotations: dict[str, str] | None = None) -> str:
    """A server and its Service (port 80, http)."""
    return pod(name, ["python3", "-uc", SERVER, str(port)], node, annotations) + "---\n" + service(name, port)


def service(name: str, port: int = 8000) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": port}]},
        }
    )


def client(name: str = "client", node: str = "node-1", annotations: dict[str, str] | None = None) -> str:
    return pod(name, ["sleep", "10000"], node, annotations)


def deployment(name: str, replicas: int, pause: float) -> str:
    """Servers that go on answering for `pause` seconds after they were told to end, as well-behaved ones do."""
    template = yaml.safe_load(server(name, "").split("---")[0])
    spec = template["spec"]
    del spec["nodeSelector"]
    spec["terminationGracePeriodSeconds"] = 20
    spec["containers"][0] |= {
        "lifecycle": {"preStop": {"sleep": {"seconds": pause}}} if pause else {},
        "readinessProbe": {"httpGet": {"port": 8000, "path": "/"}, "periodSeconds": 1},
        "env": [{"name": "HOSTNAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    }
    labels = {"app": name}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
    return yaml.safe_dump(body) + "---\n" + service(name)


def ask(mine: Mesh, host: str, port: int = 80, path: str = "/", *, whence: str = "client") -> tuple[int, str, str]:
    """Status (0: no answer), who answered (its Server header) and the body."""
    status, who, body = json.loads(mine.inside(whence, ASK, host, str(port), path, namespace="shop"))
    return int(status), str(who), str(body)


def ambient(name: str, node: str) -> str:
    """A server of the ambient mode, in the same namespace, and its Service."""
    document = yaml.safe_load(server(name, node).split("---")[0])
    document["metadata"]["labels"] |= {"sidecar.istio.io/inject": "false", "istio.io/dataplane-mode": "ambient"}
    return yaml.safe_dump(document) + "---\n" + service(name)


PLAIN = pod("plain", ["sleep", "10000"], "node-1", {"sidecar.istio.io/inject": "false"})
"""Outside the mesh."""
STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: shop}
spec: {mtls: {mode: STRICT}}
"""


def cluster_ip(mine: Mesh, name: str) -> str:
    return str(mine.get(kinds.SERVICE, name, "shop")["spec"]["clusterIP"])


def answers(mine: Mesh, name: str, *, whence: str = "client") -> None:
    """Wait until its Service is answered."""
    until(lambda: ask(mine, cluster_ip(mine, name), whence=whence)[0] == 200, f"{whence} gets an answer of {name}")


def peers(mine: Mesh, name: str) -> set[tuple[str, int]]:
    """Who the pod has connections to: the remote ends of its own namespace's sockets."""
    found = json.loads(mine.inside(name, PEERS, namespace="shop"))
    return {(host, port) for host, port in found}


def clusters(mine: Mesh, name: str) -> set[str]:
    """What the Envoy beside this pod balances to, by its own word."""
    uid = mine.get(kinds.POD, name, "shop")["metadata"]["uid"]
    command = ["curl", "-s", "--unix-socket", str(mine.layout.proxies / uid / "admin.sock"), "http://envoy/clusters"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.splitlines()
    return {line.partition("::")[0] for line in lines}


def services(mine: Mesh, name: str) -> set[str]:
    """Hostnames of the services whose clusters it holds."""
    return {each.rpartition("|")[2] for each in clusters(mine, name) if each.startswith("outbound|")}


def running(mine: Mesh, app: str) -> list[dict[str, Any]]:
    """Pods of the label that are not being deleted."""
    found, _ = mine.ask(lambda api: api.list(kinds.POD, "shop", labels=f"app={app}"))
    return [each for each in found if "deletionTimestamp" not in each["metadata"]]


def is_ready(each: dict[str, Any]) -> bool:
    conditions = each.get("status", {}).get("conditions", ())
    return any((c["type"], c["status"]) == ("Ready", "True") for c in conditions)


@contextlib.contextmanager
def load(mine: Mesh, host: str, port: int = 80, whence: str = "client") -> Iterator[dict[str, Any]]:
    """80 requests a second, half of them on a connection each. What is yielded is filled when the block has ended."""
    command = ["nsenter", f"--net={mine.space(whence, 'shop')}", sys.executable, "-c", LOAD, host, str(port)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = {}
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield found
        out, _ = process.communicate("", timeout=40)
        assert process.returncode == 0
        found |= json.loads(out)
    finally:
        process.kill()
        process.wait()
