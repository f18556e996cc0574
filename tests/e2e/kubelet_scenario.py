"""The kubelet on a scratch node with an in-memory API: run by test_kubelet in its own process; prints one JSON line."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import aiohttp

from kit.memory_api import MemoryApi
from plait.base import aio, netns
from plait.local import links
from plait.local.addresses import AddressPlan
from plait.local.kubelet import Kubelet
from plait.local.kubelet_server import KubeletServer
from plait.local.layout import Layout
from plait.resources.kinds import CONFIG_MAP, POD

PLAN = AddressPlan(119)
SERVER = (
    "import os,http.server;print('ip', os.environ['IP'], open('/cm/k').read(), flush=True);"
    "http.server.HTTPServer(('',80),http.server.SimpleHTTPRequestHandler).serve_forever()"
)


def pod(name: str, *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    spec = {"nodeName": "n1", "terminationGracePeriodSeconds": 3, "containers": list(containers), **spec}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


def shell(script: str, **more: Any) -> dict[str, Any]:
    return {"name": "m", "command": ["/bin/sh", "-c", script], **more}


async def until(ask: Callable[[], Awaitable[Any]], what: str, seconds: float = 20.0) -> Any:
    try:
        async with asyncio.timeout(seconds):
            while not (found := await ask()):
                await asyncio.sleep(0.02)
            return found
    except TimeoutError:
        raise AssertionError(f"not within {seconds} s: {what}") from None


class Scenario:
    def __init__(self, layout: Layout) -> None:
        self.layout, self.api = layout, MemoryApi()
        self.found: dict[str, Any] = {}

    async def kubelet(self) -> tuple[Kubelet, KubeletServer, asyncio.Task[None]]:
        kubelet = Kubelet(self.api, self.layout, PLAN, "n1", 1, backoff_base=0.2, backoff_most=1.0)
        server = KubeletServer(kubelet, self.layout.kubelet_socket("n1"))
        await server.start()
        task = aio.spawn(kubelet.run(), "kubelet")
        await kubelet.ready.wait()
        return kubelet, server, task

    async def status(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.api.get(POD, name, "default")).get("status") or {}
        return found

    async def phase(self, name: str, phase: str) -> dict[str, Any]:
        async def ask() -> dict[str, Any] | None:
            status = await self.status(name)
            return status if status.get("phase") == phase else None

        try:
            result: dict[str, Any] = await until(ask, f"pod {name} is {phase}")
        except AssertionError as error:
            raise AssertionError(f"{error}; last status: {json.dumps(await self.status(name))}") from None
        return result

    async def ready(self, name: str) -> dict[str, Any]:
        async def ask() -> dict[str, Any] | None:
            status = await self.status(name)
            fit = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ()))
            return status if fit else None

        result: dict[str, Any] = await until(ask, f"pod {name} is ready")
        return result

    async def waiting(self, name: str, reason: str) -> dict[str, Any]:
        async def ask() -> dict[str, Any] | None:
            status = await self.status(name)
            states = [c["state"].get("waiting", {}) for c in status.get("containerStatuses", ())]
            return status if any(s.get("reason") == reason for s in states) else None

        result: dict[str, Any] = await until(ask, f"pod {name} waits with {reason}")
        return result

    async def run(self) -> None:
        await self.api.create(CONFIG_MAP, {"metadata": {"name": "cm", "namespace": "default"}, "data": {"k": "v"}})
        kubelet, server, task = await self.kubelet()
        web = {
            "name": "m",
            "command": [sys.executable, "-c", SERVER],
            "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
            "volumeMounts": [{"name": "c", "mountPath": "/cm"}],
            "readinessProbe": {"httpGet": {"port": 80}},
        }
        volumes = [{"name": "c", "configMap": {"name": "cm"}}]
        init = [{"name": "i", "command": ["/bin/sh", "-c", "echo from init"]}]
        await self.api.create(POD, pod("web", web, volumes=volumes, initContainers=init))
        self.found["ip"] = (await self.ready("web"))["podIP"]
        script = "hostname; touch /etc/plait-h5-mark /plait-h5-mark && echo wrote; exit 5"
        await self.api.create(POD, pod("bad", shell(script), restartPolicy="Never"))
        await self.api.create(POD, pod("job", shell("exit 0"), restartPolicy="Never"))
        await self.api.create(POD, pod("crash", shell("exit 1")))
        await self.api.create(POD, pod("noimage", {"name": "m", "image": "quay.io/x/y:1"}))
        missing = shell("exit 0", envFrom=[{"configMapRef": {"name": "nope"}}])
        await self.api.create(POD, pod("noconfig", missing))
        failed = await self.phase("bad", "Failed")
        self.found["bad code"] = failed["containerStatuses"][0]["state"]["terminated"]["exitCode"]
        await self.phase("job", "Succeeded")
        await self.waiting("crash", "CrashLoopBackOff")
        for name, reason in (("noimage", "ErrImagePull"), ("noconfig", "CreateContainerConfigError")):
            status = await self.waiting(name, reason)
            self.found[name] = status["containerStatuses"][0]["state"]["waiting"]["message"]
        self.found["host marks"] = [p for p in ("/etc/plait-h5-mark", "/plait-h5-mark") if os.path.exists(p)]
        await self.streams()
        pid = kubelet.workers[self.uid("web")].containers.live["m"].pid
        await aio.cancel(task)
        await kubelet.stop(keep_pods=True)
        await server.stop()
        kubelet, server, task = await self.kubelet()

        async def adopted() -> bool:
            worker = kubelet.find("default", "web")
            return worker is not None and "m" in worker.containers.live

        await until(adopted, "the restarted kubelet adopts web")
        self.found["same process"] = kubelet.workers[self.uid("web")].containers.live["m"].pid == pid
        os.kill(pid, 9)  # its end must be noticed by the kubelet that did not start it

        async def restarted() -> bool:
            return (await self.status("web"))["containerStatuses"][0]["restartCount"] == 1

        await until(restarted, "web is restarted")
        for document in self.api.all(POD):
            await self.api.delete(POD, document["metadata"]["name"], "default", grace=2)

        async def none() -> bool:
            return not self.api.all(POD)

        await until(none, "all pods are gone")
        spaces = list(self.layout.netns("x").parent.glob(f"plait-{self.layout.name}-p-*"))
        self.found["leftovers"] = [str(p) for p in (*spaces, *(self.layout.node("n1") / "pods").iterdir())]
        await aio.cancel(task)
        await kubelet.stop(keep_pods=False)
        await server.stop()

    def uid(self, name: str) -> str:
        return next(str(p["metadata"]["uid"]) for p in self.api.all(POD) if p["metadata"]["name"] == name)

    async def streams(self) -> None:
        connector = aiohttp.UnixConnector(str(self.layout.kubelet_socket("n1")))
        async with aiohttp.ClientSession("http://kubelet", connector=connector) as http:
            for name, path in (("bad log", "bad/m"), ("web log", "web/m?tailLines=100"), ("init log", "web/i")):
                async with http.get(f"/logs/default/{path}") as response:
                    self.found[name] = await response.text()
            self.found["exec"] = await self.exec(http, "command=cat&stdin=1&stdout=1", b"\0hello", b"\xff\0")
            query = "command=sh&command=-c&command=tty%3Bexit+7&tty=1&stdout=1"
            self.found["tty"] = await self.exec(http, query)
            async with http.ws_connect("/portforward/default/web?port=80") as stream:
                await stream.send_bytes(b"GET /cm/ HTTP/1.0\r\n\r\n")
                self.found["forwarded"] = (await stream.receive_bytes()).decode()[:15]

    async def exec(self, http: aiohttp.ClientSession, query: str, *frames: bytes) -> list[str]:
        got: dict[int, bytes] = {}
        async with http.ws_connect(f"/exec/default/web/m?{query}", protocols=["v5.channel.k8s.io"]) as stream:
            for frame in frames:
                await stream.send_bytes(frame)
            async for message in stream:
                got[message.data[0]] = got.get(message.data[0], b"") + message.data[1:]
        status = json.loads(got[3])
        causes = (status.get("details") or {}).get("causes") or [{"message": "0"}]
        return [got.get(1, b"").decode(), causes[0]["message"]]


def main() -> None:
    root = Path(tempfile.mkdtemp(prefix="h5k"))
    layout = Layout(root.name, root / "m")
    node = layout.netns("n1")
    try:
        netns.create(node)
        links.up("lo", node)
        links.sysctl({"ipv4/ip_forward": "1"}, node)
        links.veth("eth0", "out", netns=node, peer_netns=node)
        for name in ("eth0", "out"):
            links.up(name, node)
        links.address("eth0", PLAN.node(1), 24, node)
        links.route(IPv4Network("0.0.0.0/0"), via=PLAN.control, netns=node)
        netns.enter(node)
        scenario = Scenario(layout)
        asyncio.run(scenario.run())
        print(json.dumps(scenario.found))
    except BaseException:
        print((layout.node("n1") / "launcher.log").read_text(), file=sys.stderr)
        raise
    finally:
        launcher = layout.node("n1") / "launcher.sock.pid"
        if launcher.exists():
            os.kill(int(launcher.read_text().split()[0]), 9)
        for path in node.parent.glob(f"plait-{layout.name}-*"):
            netns.remove(path)
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
