"""services.rules in the kernel: a client pod and server pods on one routed node, in scratch network namespaces."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from plait.local import serviceproxy
from plait.local.addresses import AddressPlan
from plait.local.services import rules

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make network namespaces")]
PLAN = AddressPlan(119)
NODE, PODS = "node", {"client": "10.119.1.2", "one": "10.119.1.3", "two": "10.119.1.4"}
VIP = "10.119.128.20"
T = TypeVar("T")


def sh(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout


class Net:
    """One node namespace and three pods, each on a routed veth pair."""

    def __init__(self) -> None:
        self.run = f"plsvc{os.getpid()}"
        self.stop = threading.Event()
        self.threads: list[threading.Thread] = []

    def ns(self, name: str) -> str:
        return f"{self.run}-{name}"

    def start(self) -> None:
        for name in (NODE, *PODS):
            sh("ip", "netns", "add", self.ns(name))
            sh("ip", "-n", self.ns(name), "link", "set", "lo", "up")
        node = self.ns(NODE)
        sh("ip", "netns", "exec", node, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        # A pod's address is its gateway's neighbour on a link of its own: no bridge, as in the local runtime.
        sh("ip", "-n", node, "addr", "add", "10.119.1.1/32", "dev", "lo")
        sh("ip", "-n", node, "route", "add", "10.119.128.0/17", "dev", "lo")
        for number, (name, address) in enumerate(PODS.items()):
            pod, link = self.ns(name), f"v{number}"
            sh("ip", "link", "add", link, "netns", node, "type", "veth", "peer", "name", "eth0", "netns", pod)
            sh("ip", "-n", node, "link", "set", link, "up")
            sh("ip", "-n", node, "route", "add", f"{address}/32", "dev", link)
            sh("ip", "-n", pod, "addr", "add", f"{address}/32", "dev", "eth0")
            sh("ip", "-n", pod, "link", "set", "eth0", "up")
            sh("ip", "-n", pod, "route", "add", "10.119.1.1", "dev", "eth0")
            sh("ip", "-n", pod, "route", "add", "default", "via", "10.119.1.1")

    def inside(self, name: str, function: Callable[[], T]) -> T:
        def entered() -> T:
            # setns moves only the calling thread, which ends with this call.
            import ctypes

            descriptor = os.open(f"/run/netns/{self.ns(name)}", os.O_RDONLY)
            assert ctypes.CDLL(None, use_errno=True).setns(descriptor, 0x40000000) == 0
            os.close(descriptor)
            return function()

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(entered).result(30)

    def serve(self, name: str, port: int = 8080) -> None:
        def listen() -> socket.socket:
            made = socket.create_server(("0.0.0.0", port))
            made.settimeout(0.2)
            return made

        listener = self.inside(name, listen)

        def loop() -> None:
            while not self.stop.is_set():
                try:
                    connection, peer = listener.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.sendall(f"{name} {peer[0]}".encode())
            listener.close()

        self.threads.append(threading.Thread(target=loop))
        self.threads[-1].start()

    def ask(self, name: str, address: str, port: int) -> str:
        def connect() -> str:
            with socket.create_connection((address, port), 5) as connection:
                return connection.makefile().read()

        return self.inside(name, connect)

    def apply(self, services: list[Any], slices: list[Any]) -> None:
        text = rules(services, slices, node=1, plan=PLAN)
        self.inside(NODE, lambda: asyncio.run(serviceproxy.apply(text)))

    def tables(self) -> str:
        saved = self.inside(NODE, lambda: sh("iptables-save"))
        return "\n".join(line for line in saved.splitlines() if line[:1] in ":-").replace("[0:0]", "")

    def clean(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()
        for name in (NODE, *PODS):
            if Path("/run/netns", self.ns(name)).exists():
                subprocess.run(["ip", "netns", "del", self.ns(name)], check=False)


@pytest.fixture
def net() -> Iterator[Net]:
    net = Net()
    try:
        net.start()
        net.serve("one")
        net.serve("two")
        yield net
    finally:
        net.clean()


def service(**spec: Any) -> dict[str, Any]:
    spec = {"clusterIP": VIP, "ports": [{"name": "http", "port": 80, "nodePort": 30080}], **spec}
    return {"metadata": {"namespace": "shop", "name": "web"}, "spec": spec}


def slice_of(*names: str) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "shop", "name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "endpoints": [{"addresses": [PODS[name]], "conditions": {"ready": True}} for name in names],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }


def test_service_addresses_lead_to_ready_pods_and_follow_changes(net: Net) -> None:
    balanced = service(type="LoadBalancer")
    balanced["status"] = {"loadBalancer": {"ingress": [{"ip": "10.119.192.9"}]}}
    net.apply([balanced], [slice_of("one", "two")])

    answers = {net.ask("client", VIP, 80) for _ in range(40)}
    assert answers == {f"one {PODS['client']}", f"two {PODS['client']}"}, "both serve, and see the client's address"
    assert net.ask("client", "10.119.192.9", 80).split()[0] in ("one", "two")
    assert net.ask("client", "10.119.1.1", 30080).split()[0] in ("one", "two")
    assert net.ask(NODE, VIP, 80).split()[0] in ("one", "two")

    net.apply([balanced], [slice_of("two")])
    assert {net.ask("client", VIP, 80).split()[0] for _ in range(5)} == {"two"}
    assert net.ask("two", VIP, 80).startswith("two"), "a pod reaches itself through its service"

    net.apply([service(sessionAffinity="ClientIP")], [slice_of("one", "two")])
    assert len({net.ask("client", VIP, 80) for _ in range(10)}) == 1

    net.apply([balanced], [])
    with pytest.raises(ConnectionRefusedError):
        net.ask("client", VIP, 80)


def test_applying_twice_is_applying_once_and_removal_leaves_only_the_frame(net: Net) -> None:
    net.apply([], [])
    frame = net.tables()
    net.apply([service()], [slice_of("one")])
    once = net.tables()
    net.apply([service()], [slice_of("one")])
    assert net.tables() == once != frame
    net.apply([], [])
    assert net.tables() == frame
