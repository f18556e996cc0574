"""The story `plait demo` tells: two nodes, plaintext before, identity and policy after, every claim with its evidence.

Nothing here trusts a status field where the wire can be asked: captures run on the bridge between the nodes, requests
run in the pods' own namespaces, and lost requests are counted by an open-loop client that never retries.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from pathlib import Path

from plait.base import wellknown
from plait.local import fabric, processes
from plait.trial import child, load, sniff, talk
from plait.trial.evidence import Evidence
from plait.trial.scene import Pod, Scene, SceneError, finished, until

_RATE = 100.0
HTTPBIN = ("httpbin", 8000)


async def tell(scene: Scene, samples: Path, evidence: Evidence) -> None:
    """The whole story, in order. SceneError when a step cannot be taken at all."""
    await scene.apply(*sorted(samples.glob("*.yaml")))
    await scene.wait_ready(("demo", "shop", "legacy"))
    sleep, server = await scene.pod("demo", "sleep"), await scene.pod("demo", "httpbin")
    evidence.check(
        "client and server run on different nodes", sleep.node != server.node, f"{sleep.node} -> {server.node}"
    )
    address = await _service_address(scene)
    await until(lambda: _answers(scene, sleep, address), 20.0)
    await _before(scene, evidence, sleep, address)
    await _enrol(scene, evidence, sleep, server, address)
    await _after(scene, evidence, sleep, server, address)
    await _policy(scene, evidence, samples, address)
    await _strict(scene, evidence, samples, address)
    await _observed(scene, evidence, sleep, server)


async def _service_address(scene: Scene) -> str:
    from plait.resources.kinds import SERVICE

    service = await scene.api.get(SERVICE, HTTPBIN[0], "demo")
    return str(service["spec"]["clusterIP"])


async def _answers(scene: Scene, client: Pod, address: str) -> str:
    """The node's service proxy hears of ready endpoints a moment after the API server does."""
    reply = await scene.inside(client, lambda _: talk.get(address, HTTPBIN[1], "/status/200"))
    return "" if reply.status == 200 else f"the service does not answer its client: {reply.status} {reply.body}"


async def _before(scene: Scene, evidence: Evidence, sleep: Pod, address: str) -> None:
    marker, sight = await _marked_request(scene, sleep, address)
    evidence.check(
        "before: plaintext crosses between the nodes",
        sight.markers[marker] > 0,
        f"a secret header stood readable in {sight.markers[marker]} of {sight.frames} captured frames",
    )


async def _marked_request(scene: Scene, client: Pod, address: str) -> tuple[bytes, sniff.Sight]:
    """One request with a secret header while the client node's port of the bridge is captured."""
    secret = f"secret-{secrets.token_hex(8)}"
    port = fabric.node_port(scene.record.nodes.index(client.node) + 1)
    capture = child.start(lambda stop: sniff.watch(port, (secret.encode(),), stop), scene.fabric, scene.holder)
    capture.wait_started()
    headers = (("x-secret", secret),)
    reply = await scene.inside(client, lambda _: talk.get(address, HTTPBIN[1], "/headers", headers))
    await asyncio.sleep(0.05)  # the last frame reaches the capture
    sight = await asyncio.get_running_loop().run_in_executor(None, capture.finish)
    if reply.status != 200 or secret not in reply.body:
        raise SceneError(f"httpbin did not answer the client's request: {reply.status} {reply.body[:200]}")
    return secret.encode(), sight


async def _enrol(scene: Scene, evidence: Evidence, sleep: Pod, server: Pod, address: str) -> None:
    """Label the namespace while requests are under way; nothing may restart, nothing may be lost."""
    namespace_pods = await scene.pods("demo")
    before = {pod.name: _application(pod.netns) for pod in namespace_pods}
    plan = load.Plan(address, HTTPBIN[1], rate=_RATE, connections=4, keep_alive=False, path="/status/200")
    running = child.start(lambda stop: load.run(plan, stop), sleep.netns, scene.holder)
    await asyncio.sleep(1.0)
    began = time.perf_counter()
    await scene.label_namespace("demo", {wellknown.DATAPLANE_MODE: "ambient"})
    await until(lambda: _captured(scene, len(namespace_pods)), 20.0)
    took = time.perf_counter() - began
    await asyncio.sleep(1.5)
    result = await asyncio.get_running_loop().run_in_executor(None, running.finish)
    after = {pod.name: _application(pod.netns) for pod in await scene.pods("demo")}
    evidence.check(
        "a label enrols running workloads",
        True,
        f"{len(namespace_pods)} pods: label to verified capture {took * 1000:.0f} ms",
    )
    evidence.check(
        "no application process restarted",
        before == after and all(before.values()),
        f"{sum(map(len, after.values()))} processes, same pid and start time",
    )
    evidence.check(
        "no request lost during enrolment",
        result.lost_total == 0 and result.sent > _RATE,
        f"{result.lost_total} of {result.sent} lost at {_RATE:.0f} rps, a connection each"
        + (f" ({dict(result.lost)})" if result.lost else ""),
    )


def _application(namespace: Path) -> dict[int, int]:
    """Processes in a pod's namespace: pid -> start time."""
    from plait.local.record import start_time

    return {pid: start_time(pid) or 0 for pid in processes.members([namespace])}


async def _captured(scene: Scene, wanted: int) -> str:
    pods = await scene.pods("demo")
    missing = [pod.name for pod in pods if pod.annotations.get(wellknown.REDIRECTION) != "enabled"]
    return f"not captured: {', '.join(missing) or 'pods went away'}" if missing or len(pods) < wanted else ""


async def _after(scene: Scene, evidence: Evidence, sleep: Pod, server: Pod, address: str) -> None:
    marker, sight = await _marked_request(scene, sleep, address)
    evidence.check(
        "after: no plaintext crosses, mutual TLS does",
        sight.markers[marker] == 0 and sight.ports[wellknown.HBONE_PORT] > 0 and sight.tls_records > 0,
        f"the header in {sight.markers[marker]} frames; {sight.ports[wellknown.HBONE_PORT]} segments on port "
        f"{wellknown.HBONE_PORT}, {sight.tls_records} TLS records",
    )
    reply = await scene.inside(sleep, lambda _: talk.get(address, HTTPBIN[1], "/get"))
    origin = json.loads(reply.body).get("origin", "") if reply.status == 200 else reply.body
    evidence.check("the application sees the client's real address", origin == sleep.address, f"origin: {origin}")
    greeter = await scene.pod("demo", "greeter")
    hello = await scene.inside(sleep, lambda _: talk.greeting(greeter.address, 2525))
    evidence.check(
        "a server that speaks first is not delayed",
        hello.status == 220 and hello.seconds < 1.0,
        f"{hello.body!r} after {hello.seconds * 1000:.0f} ms",
    )
    chain = await _shop(scene)
    evidence.check("the shop chain still works", *chain)


async def _shop(scene: Scene) -> tuple[bool, str]:
    order = await scene.pod("shop", "order")
    await scene.label_namespace("shop", {wellknown.DATAPLANE_MODE: "ambient"})
    seen: set[str] = set()
    for _ in range(20):
        reply = await scene.inside(order, lambda _: talk.get(order.address, 8080, "/"))
        if reply.status != 200:
            return False, f"status {reply.status}: {reply.body[:120]}"
        seen.add(str(json.loads(reply.body)["next"]["next"]["version"]))
    return seen == {"v1", "v2"}, f"20 requests order -> warehouse -> dispatch, versions {', '.join(sorted(seen))}"


async def _policy(scene: Scene, evidence: Evidence, samples: Path, address: str) -> None:
    allowed, denied = await scene.pod("demo", "sleep"), await scene.pod("demo", "notsleep")
    await scene.apply(samples / "policies" / "only-sleep.yaml")

    async def enforced() -> str:
        reply = await scene.inside(denied, lambda _: talk.get(address, HTTPBIN[1], "/status/200"))
        return f"notsleep still gets {reply.status}" if reply.status else ""

    took = await until(enforced, 10.0)
    refused = await scene.inside(denied, lambda _: talk.get(address, HTTPBIN[1], "/status/200"))
    served = await scene.inside(allowed, lambda _: talk.get(address, HTTPBIN[1], "/status/200"))
    evidence.check(
        "a denied service account is refused, the allowed one served",
        refused.status == 0 and served.status == 200,
        f"sa/sleep: {served.status}; sa/notsleep: {refused.body}; enforced after {took * 1000:.0f} ms",
    )
    await scene.delete(samples / "policies" / "only-sleep.yaml")


async def _strict(scene: Scene, evidence: Evidence, samples: Path, address: str) -> None:
    outsider = await scene.pod("legacy", "outsider")

    async def status() -> int:
        return (await scene.inside(outsider, lambda _: talk.get(address, HTTPBIN[1], "/status/200"))).status

    async def permissive() -> str:
        return "" if await status() == 200 else "the outsider is still refused"

    await until(permissive, 10.0)
    await scene.apply(samples / "policies" / "strict.yaml")

    async def strict() -> str:
        return "the outsider still gets an answer" if await status() else ""

    took = await until(strict, 10.0)
    evidence.check(
        "plaintext from outside: PERMISSIVE lets it in, STRICT refuses it",
        await status() == 0,
        f"200 before, refused {took * 1000:.0f} ms after the PeerAuthentication",
    )
    await scene.delete(samples / "policies" / "strict.yaml")


async def _observed(scene: Scene, evidence: Evidence, sleep: Pod, server: Pod) -> None:
    """Identity, logs and metrics of the connections made above, from both nodes' proxies."""
    for reporter, node in (("source", sleep.node), ("destination", server.node)):
        found = await _metric(scene, node, reporter)
        evidence.check(
            f"metrics at the {reporter}",
            found is not None,
            found or f"no istio_tcp_connections_opened_total with reporter={reporter} on {node}",
        )
    identity = f"spiffe://{scene.record.trust_domain}/ns/demo/sa/sleep"
    line = await _log_line(scene, server.node, identity)
    evidence.check(
        "the verified peer is the client's service account",
        line is not None,
        line or f"no access log line on {server.node} names {identity}",
    )


async def _metric(scene: Scene, node: str, reporter: str) -> str | None:
    """A sample that names both ends; counters are flushed a moment after the connection."""
    pattern = re.compile(
        r"^istio_tcp_connections_opened_total\{(?=[^}]*source_workload=\"sleep\")(?=[^}]*destination_workload=\"httpbin\")"
        rf"(?=[^}}]*reporter=\"{reporter}\")[^}}]*\}} (\S+)$",
        re.MULTILINE,
    )
    address = str(scene.record.plan.node(scene.record.nodes.index(node) + 1))
    for _ in range(50):
        reply = await finished(
            child.start(
                lambda _: talk.get(address, wellknown.METRICS_PORT, "/metrics"), scene.layout.netns(node), scene.holder
            )
        )
        if match := pattern.search(reply.body):
            return f'{node}: source_workload="sleep" destination_workload="httpbin" = {match.group(1)}'
        await asyncio.sleep(0.1)
    return None


async def _log_line(scene: Scene, node: str, identity: str) -> str | None:
    """Newest access log line of the node that names the identity (Envoy flushes its log every second)."""
    for _ in range(50):
        for file in sorted(scene.layout.node(node).rglob("*access*.log")):
            text = file.read_text(errors="replace")
            lines = [line for line in text.splitlines() if identity in line and '"inbound"' in line]
            if lines:
                return _shortened(lines[-1])
        await asyncio.sleep(0.1)
    return None


def _shortened(line: str) -> str:
    try:
        fields = json.loads(line)
    except ValueError:
        return line[:160]
    keys = ("time", "direction", "src.identity", "src.addr", "dst.workload", "dst.addr", "mtls", "bytes_sent")
    return " ".join(f"{key}={fields[key]}" for key in keys if key in fields)
