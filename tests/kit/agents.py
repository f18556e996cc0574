"""A whole node in one process: control plane (workload stream, authority) and node agent, around two pods.

Must run in a network namespace of its own (`ip netns exec`, `unshare -Urnm`): it becomes the node's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import grpc
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kit.memory_api import MemoryApi
from kit.netlab import private_run, run
from plait.app import agent as agents
from plait.app.place import Place
from plait.base import aio, netns
from plait.identity import authority, trust
from plait.identity.service import CertificateService
from plait.identity.tokens import Tokens
from plait.local.addresses import AddressPlan
from plait.local.layout import Layout
from plait.model.mesh import Mesh, Settings, Workload
from plait.model.policies import Group, Match, Policy, Rule
from plait.node import netfilter, rules
from plait.resources import kinds
from plait.store.api import Document
from plait.wds.encode import encode
from plait.xds.cache import Cache
from plait.xds.server import Peer, Server

PLAN = AddressPlan(99)
NODE = "node-1"
PODS = {"one": "10.99.1.11", "two": "10.99.1.12"}


class Api(MemoryApi):
    """The in-memory API with tokens: the token is the caller's name."""

    async def create_subresource(
        self, kind: kinds.Kind, name: str, subresource: str, document: Document, namespace: str = ""
    ) -> Document:
        return {"status": {"token": f"{namespace}:{name}"}}


async def review(token: str, audiences: tuple[str, ...]) -> Mapping[str, Any]:
    extra = {"authentication.kubernetes.io/node-name": [NODE]}
    user = {"username": f"system:serviceaccount:{token}", "extra": extra}
    return {"authenticated": True, "audiences": list(audiences), "user": user}


class Placement:
    def node_of(self, namespace: str, pod: str, uid: str) -> str | None:
        return None

    def runs(self, node: str, namespace: str, service_account: str) -> bool:
        return node == NODE and namespace == "shop" and service_account in PODS


def pod(name: str, **labels: str) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {"nodeName": NODE, "serviceAccountName": name, "containers": [{"name": "c", "image": "x"}]},
    }


class Node:
    """Two pods on this namespace, an API in memory, a control plane at PLAN.control, and the agent under test."""

    def __init__(self, directory: Path) -> None:
        self.layout = Layout("h8", directory)
        self.api = Api()
        self.cache = Cache()
        self.agent: agents.Agent
        self.pods: dict[str, Document] = {}
        self._tag = f"h8{id(self) & 0xFFFF:x}"

    def netns(self, name: str) -> Path:
        return Path(f"/run/netns/{self._tag}-{name}")

    def describe(self, *captured: str, policies: tuple[Policy, ...] = ()) -> None:
        """What the control plane says: a pod that is announced is reached by HBONE."""
        workloads = {
            uid: Workload(
                uid,
                name=name,
                namespace="shop",
                addresses=(address,),
                service_account=name,
                node=NODE,
                tunnel="hbone" if name in captured else "none",
            )
            for name, address in PODS.items()
            for uid in [f"Kubernetes//Pod/shop/{name}"]
        }
        self.cache.set(encode(Mesh(workloads=workloads, policies={p.key: p for p in policies})).bundle)

    async def start(self) -> None:
        place = Place(self.layout, PLAN, NODE, str(PLAN.node(1)), Settings(ranges=PLAN.ranges))
        self.agent = await agents.start(place, self.api)

    def network(self) -> None:
        for address in (PLAN.control, PLAN.node(1), "169.254.1.1"):
            run("ip", "address", "add", f"{address}/32", "dev", "lo")
        run("ip", "link", "set", "lo", "up")
        for number, (name, address) in enumerate(PODS.items()):
            space, port = self.netns(name), f"{self._tag}{number}"
            netns.create(space)
            run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space.name)
            lines = [
                "link set lo up",
                "link set eth0 up",
                f"address add {address}/32 dev eth0",
                "route add 169.254.1.1/32 dev eth0",
                "route add default via 169.254.1.1 dev eth0 onlink",
            ]
            run("ip", "-n", space.name, "-batch", "-", stdin="\n".join(lines))
            run("ip", "link", "set", port, "up")
            for file in (f"ipv4/conf/{port}/proxy_arp", "ipv4/ip_forward"):
                Path("/proc/sys/net", file).write_text("1")
            Path(f"/proc/sys/net/ipv4/neigh/{port}/proxy_delay").write_text("0")
            run("ip", "route", "add", f"{address}/32", "dev", port, "src", str(PLAN.node(1)))


@contextlib.asynccontextmanager
async def running(directory: Path, mode: str = "ambient") -> AsyncIterator[Node]:
    private_run()
    node = Node(directory)
    root = trust.load_or_create(node.layout.mesh_ca, "test", aio.now(), 5)
    service = CertificateService(lambda: root, Tokens(review, aio.now), Placement())
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = authority.server_certificate(key.public_key(), ["istiod"], [PLAN.control], root.signer, aio.now(), 3600, 6)
    assert isinstance(leaf, str)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

    async def connect(peer: Peer, first: object) -> Cache:
        return node.cache

    server = Server(connect, services=(service.handler(),))
    started = False
    try:
        node.network()
        await node.api.create(kinds.NODE, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
        labels = {"istio.io/dataplane-mode": mode} if mode else {}
        await node.api.create(
            kinds.NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels}}
        )
        for name in PODS:
            node.pods[name] = await node.api.create(kinds.POD, pod(name), "shop")
        node.describe(*PODS)
        credentials = grpc.ssl_server_credentials([(private, leaf.encode())])
        await server.start(f"{PLAN.control}:15012", credentials=credentials)
        await node.start()
        started = True
        yield node
    finally:
        if started:
            await node.agent.close()
        await server.stop(0)
        for name in PODS:
            netns.remove(node.netns(name))


def talk(node: Node) -> str:
    """What pod two's server says to a client in pod one: the address it sees."""
    with netns.inside(node.netns("two")):
        server = socket.create_server(("0.0.0.0", 8080))

    def answer() -> None:
        with contextlib.suppress(OSError):
            connection, peer = server.accept()
            connection.sendall(peer[0].encode())
            connection.recv(1)  # the client closes first

    threading.Thread(target=answer, daemon=True).start()
    with netns.inside(node.netns("one")):
        client = socket.socket()
    with server, client:
        client.settimeout(5)
        client.connect((PODS["two"], 8080))
        return client.recv(100).decode()


def open_to(node: Node, port: int) -> tuple[socket.socket, socket.socket, socket.socket]:
    """A long connection from pod one to pod two, greeted: the client's end, the server's end, the server."""
    with netns.inside(node.netns("two")):
        server = socket.create_server(("0.0.0.0", port))
    with netns.inside(node.netns("one")):
        client = socket.socket()
    for each in (server, client):
        each.settimeout(5)
    client.connect((PODS["two"], port))
    end, _ = server.accept()
    end.sendall(b"!")
    assert client.recv(1) == b"!"
    return client, end, server


async def tightened(node: Node) -> dict[str, Any]:
    """Two long connections, and a new policy that denies the port of one of them."""
    denied, allowed = [await asyncio.to_thread(open_to, node, port) for port in (8090, 8091)]
    match = Match(destination_ports=(8090,))
    rule = Policy("no-8090", "shop", "namespace", "deny", (Group((Rule((match,)),)),))
    began = asyncio.get_running_loop().time()
    node.describe(*PODS, policies=(rule,))

    def ended() -> bool:
        with contextlib.suppress(ConnectionError):
            return denied[0].recv(1) == b""
        return True

    found = {"denied ended": await asyncio.to_thread(ended)}
    found["within a second"] = asyncio.get_running_loop().time() - began < 1
    await asyncio.sleep(1)  # all sweeps are over
    allowed[0].sendall(b"?")
    found["allowed lives"] = await asyncio.to_thread(allowed[1].recv, 1) == b"?"
    node.describe(*PODS)
    for each in (*denied, *allowed):
        each.close()
    return found


async def reached(node: Node, phase: str) -> None:
    async with asyncio.timeout(20):
        while {state.phase for state in node.agent.states().values()} != {phase}:
            await asyncio.sleep(0.01)


async def announced(node: Node) -> list[str | None]:
    found = [await node.api.get(kinds.POD, name, "shop") for name in PODS]
    return [(one["metadata"].get("annotations") or {}).get("ambient.istio.io/redirection") for one in found]


async def label(node: Node, mode: str | None) -> None:
    await node.api.patch(kinds.NAMESPACE, "shop", {"metadata": {"labels": {"istio.io/dataplane-mode": mode}}})


async def scenario(directory: Path) -> dict[str, Any]:
    """Capture, talk, break the rules by hand, leave, come back; what was seen at each step."""
    seen: dict[str, Any] = {}
    async with running(directory) as node:
        hook = node.agent.hook
        await asyncio.gather(*(hook.attached(node.pods[p], node.netns(p), (a,)) for p, a in PODS.items()))
        seen["phases"] = [state.phase for state in node.agent.states().values()]
        seen["announced"] = await announced(node)
        seen["client"] = await asyncio.to_thread(talk, node)
        seen["tightened"] = await tightened(node)
        run("nsenter", f"--net={node.netns('one')}", "iptables", "-t", "nat", "-F", "ISTIO_OUTPUT")
        async with asyncio.timeout(20):
            while not await netfilter.verify(node.netns("one"), rules.capture(dns=True)):
                await asyncio.sleep(0.05)
        seen["repaired"] = True
        await label(node, None)
        await reached(node, "out")
        seen["left"] = sum([(await netfilter.saved(node.netns(p))).count("ISTIO") for p in PODS])
        seen["retracted"] = await announced(node)
        await label(node, "ambient")
        await reached(node, "in")
        seen["back"] = await asyncio.to_thread(talk, node)
        pid = node.agent.supervisor.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(20):
            while node.agent.supervisor.restarts == 0:
                await asyncio.sleep(0.01)
        await reached(node, "in")
        seen["after crash"] = await asyncio.to_thread(talk, node)
        await asyncio.sleep(1.2)  # Envoy writes its access log once a second
    seen["log"] = [json.loads(line) for line in (directory / "nodes" / NODE / "access.log").read_text().splitlines()]
    return seen


if __name__ == "__main__":
    print(json.dumps(asyncio.run(scenario(Path(sys.argv[1])))))
