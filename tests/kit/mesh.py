"""A whole local mesh of a test's own: `plait` as a user runs it, a home in a short temporary directory, and its traces.

    with mesh("faults") as mine:
        mine.up(); mine.apply(text); mine.inside(pod, script)

It is taken down whatever happens; `traces()` lists everything of it that the machine still has.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kit.kept_client import KeptClient
from plait.app import processes
from plait.local import fabric
from plait.local import processes as members
from plait.local.layout import Layout
from plait.local.record import Record, load
from plait.resources import documents, kinds
from plait.resources.kinds import Kind
from plait.store.client import HttpApi

PLAIT = [str(Path(sys.executable).parent / "plait")]

ECHO = """\
  containers:
    - name: c
      image: none
      command:
        - /usr/bin/python3
        - -uc
        - |
          import socketserver
          class Echo(socketserver.StreamRequestHandler):
              def handle(self):
                  for line in self.rfile:
                      self.wfile.write(line)
          class Server(socketserver.ThreadingTCPServer):
              allow_reuse_address = True
              daemon_threads = True
              request_queue_size = 500
          Server(("", 9000), Echo).serve_forever()
      readinessProbe: {tcpSocket: {port: 9000}, periodSeconds: 1}
"""
"""Containers of a pod that says again what it is told, line by line, on port 9000; many may come at once (the queue of
`socketserver` has five places, and who finds none waits for the kernel's next try, seconds later)."""

PAIR = (
    """
apiVersion: v1
kind: Namespace
metadata: {name: duo}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: duo, labels: {app: client}}
spec:
  nodeSelector: {kubernetes.io/hostname: node-1}
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: none, command: [/bin/sleep, infinity]}]
---
apiVersion: v1
kind: Pod
metadata: {name: echo, namespace: duo, labels: {app: echo}}
spec:
  nodeSelector: {kubernetes.io/hostname: node-2}
  terminationGracePeriodSeconds: 0
"""
    + ECHO
    + """\
---
apiVersion: v1
kind: Service
metadata: {name: echo, namespace: duo}
spec: {selector: {app: echo}, ports: [{port: 9000}]}
"""
)

ONCE = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 3) as s:
    s.settimeout(3); s.sendall(b"hello\\n"); assert s.recv(99) == b"hello\\n", "no echo"
"""
LONG = """
import socket, sys, time
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 3) as s:
    s.settimeout(5)
    while True:
        s.sendall(b"x\\n"); assert s.recv(99) == b"x\\n", "the connection ended"
        print("ok", flush=True); time.sleep(0.05)
"""
MANY = """
import socket, sys, time
lost = done = 0
until = time.time() + float(sys.argv[3])
while time.time() < until:
    try:
        with socket.create_connection((sys.argv[1], int(sys.argv[2])), 3) as s:
            s.settimeout(3); s.sendall(b"hi\\n"); lost += s.recv(99) != b"hi\\n"
    except OSError as e:
        lost += 1; print(e, file=sys.stderr)
    done += 1; time.sleep(0.01)
print(done, lost)
"""


class Mesh:
    def __init__(self, name: str, home: Path) -> None:
        self.name, self.home = name, home
        self.layout = Layout(name, home / name)
        self._spaces: dict[tuple[str, str], Path] = {}
        self._client: KeptClient | None = None

    def plait(self, *arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PLAIT, *arguments, "--name", self.name],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=90,
            env={**os.environ, "PLAIT_HOME": str(self.home), **environment},
        )

    def close(self) -> None:
        """What this process has of it; the mesh itself goes on."""
        if self._client is not None:
            self._client.close()
            self._client = None

    @property
    def port(self) -> int:
        """Of the API server. Meshes see only what others of their home have chosen, and each test has its own home."""
        return 20_000 + zlib.crc32(str(self.layout.root).encode()) % 10_000

    def up(self, *arguments: str) -> None:
        done = self.plait("up", "--detach", "--port", str(self.port), *arguments)
        assert done.returncode == 0, done.stdout + done.stderr

    def apply(self, text: str) -> None:
        """As `plait apply` does (tests/wire/test_apply_command.py), without half a second of a core for its start."""
        found, problems = documents.read(text, "a test's manifest")
        assert not problems, problems

        async def each_in_turn(api: HttpApi) -> None:
            for document in (item.document for item in found):
                kind, meta = kinds.by_document(document), document["metadata"]
                assert kind is not None, document
                space = meta.get("namespace", "default") if kind.namespaced else ""
                await api.patch(kind, meta["name"], document, space, type="apply", strict=True)

        self.ask(each_in_turn)

    @property
    def record(self) -> Record:
        found = load(self.layout)
        assert found is not None
        return found

    def pid(self, part: str) -> int:
        return next(each.id.pid for each in processes.load(self.layout) if each.name == part)

    def envoy(self, node: str) -> int:
        return int((self.layout.node(node) / "envoy.pid").read_text().split()[0])

    def kill(self, pid: int, number: signal.Signals = signal.SIGKILL) -> None:
        os.kill(pid, number)

    def members(self) -> list[int]:
        return members.members(fabric.remains(self.name))

    # ---------------------------------------------------------------------------------------------------------- objects
    def ask(self, work: Callable[[HttpApi], Any]) -> Any:
        if self._client is None:
            self._client = KeptClient(self.layout.kubeconfig, self.layout.api_socket)
        return self._client.ask(work)

    def get(self, kind: Kind, name: str, namespace: str = "") -> dict[str, Any]:
        found: dict[str, Any] = self.ask(lambda api: api.get(kind, name, namespace))
        return found

    def enrol(self, namespace: str, mode: str | None = "ambient") -> None:
        labels = {"metadata": {"labels": {"istio.io/dataplane-mode": mode}}}
        self.ask(lambda api: api.patch(kinds.NAMESPACE, namespace, labels))

    def ready(self, namespace: str, *pods: str) -> None:
        def state() -> bool:
            found = [self.get(kinds.POD, pod, namespace).get("status", {}) for pod in pods]
            return all(
                any(c["type"] == "Ready" and c["status"] == "True" for c in each.get("conditions", ()))
                for each in found
            )

        until(state, f"{pods} Ready")

    def captured(self, namespace: str, *pods: str, value: bool = True) -> None:
        def state() -> bool:
            notes = [self.get(kinds.POD, pod, namespace)["metadata"].get("annotations") or {} for pod in pods]
            return all((note.get("ambient.istio.io/redirection") == "enabled") is value for note in notes)

        until(state, f"{pods} captured: {value}")

    def programmed(self, namespace: str, gateway: str) -> None:
        """Its proxies serve, and its status says so."""

        def state() -> bool:
            conditions = self.get(kinds.GATEWAY, gateway, namespace).get("status", {}).get("conditions", ())
            return any((each["type"], each["status"]) == ("Programmed", "True") for each in conditions)

        until(state, f"Gateway {namespace}/{gateway} Programmed")

    def scale(self, deployment: str, replicas: int, namespace: str = "duo") -> None:
        """As `kubectl scale` does."""
        body = {"spec": {"replicas": replicas}}
        self.ask(lambda api: api.patch(kinds.DEPLOYMENT, deployment, body, namespace, subresource="scale"))

    def address(self, pod: str, namespace: str = "duo") -> str:
        return str(self.get(kinds.POD, pod, namespace)["status"]["podIP"])

    def application(self, pod: str, namespace: str = "duo") -> set[int]:
        """Pids inside the pod's network namespace that stay: what the node's agent runs there for a moment is none."""
        found = set(members.members([self.space(pod, namespace)]))
        time.sleep(0.2)
        return found & set(members.members([self.space(pod, namespace)]))

    def space(self, pod: str, namespace: str = "duo") -> Path:
        """The pod's network namespace, remembered: asked for again it is known without the API server."""
        if (namespace, pod) not in self._spaces:
            uid = self.get(kinds.POD, pod, namespace)["metadata"]["uid"]
            self._spaces[namespace, pod] = self.layout.pod_netns(uid)
        return self._spaces[namespace, pod]

    def start(self, pod: str, script: str, *arguments: str, namespace: str = "duo") -> subprocess.Popen[str]:
        space = self.space(pod, namespace)
        command = ["nsenter", f"--net={space}", "/usr/bin/python3", "-c", script, *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def inside(self, pod: str, script: str, *arguments: str, namespace: str = "duo") -> str:
        running = self.start(pod, script, *arguments, namespace=namespace)
        out, err = running.communicate(timeout=60)
        assert running.returncode == 0, err
        return out

    def works(self, pod: str, script: str, *arguments: str) -> bool:
        running = self.start(pod, script, *arguments)
        running.communicate(timeout=60)
        return running.returncode == 0


@contextlib.contextmanager
def talking(mesh: Mesh, pod: str, host: str, port: int = 9000) -> Iterator[subprocess.Popen[str]]:
    """A connection that says something every 50 ms; it must be alive when the block ends."""
    running = mesh.start(pod, LONG, host, str(port))
    assert running.stdout is not None
    try:
        assert running.stdout.readline() == "ok\n"
        yield running
        assert running.poll() is None, running.stderr.read() if running.stderr else ""
    finally:
        running.kill()
        running.communicate()


def until(state: Callable[[], bool], what: str, seconds: float = 60.0) -> float:
    began = time.monotonic()
    last: Exception | None = None
    while time.monotonic() < began + seconds:
        try:
            if state():
                return time.monotonic() - began
        except Exception as error:  # a server that is just being killed
            last = error
        time.sleep(0.05)
    raise AssertionError(f"not in {seconds:g} s: {what} ({last!r})")


def traces(name: str, home: Path, index: int = 0) -> dict[str, list[str]]:
    """What the machine has of a mesh; `index` is its second octet, so that other meshes do not count."""

    def lines(*command: str) -> list[str]:
        return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()

    links = [link["ifname"] for link in json.loads("".join(lines("ip", "-j", "link")) or "[]")]
    return {
        "namespaces": [path.name for path in fabric.remains(name)],
        "links": [link for link in links if link == f"plait{index}"],
        "rules": lines("iptables-save"),
        "routes": [line for line in lines("ip", "route") if f"plait{index} " in line],
        "policy": lines("ip", "rule"),
        "sets": lines("ipset", "list", "-name"),
        "mounts": [line for line in Path("/proc/mounts").read_text().splitlines() if name in line],
        "files": [str(path) for path in home.rglob("*")] if home.exists() else [],
        "processes": lines("pgrep", "-f", "--", f"(up|--detach|-d) .*--name {name}( |$)|{home}/"),
    }


@contextlib.contextmanager
def mesh(name: str) -> Iterator[Mesh]:
    home = Path(tempfile.mkdtemp(prefix="pl-", dir="/tmp"))
    mine = Mesh(name, home)
    try:
        yield mine
    finally:
        mine.close()
        done = mine.plait("down")
        shutil.rmtree(home, ignore_errors=True)
        assert done.returncode == 0, done.stdout + done.stderr
