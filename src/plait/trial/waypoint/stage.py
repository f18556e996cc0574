"""What the story of a waypoint does to the mesh and asks of it: requests with a tag, counted at the servers."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import Counter
from dataclasses import dataclass

from plait.base import wellknown
from plait.resources import kinds
from plait.resources.kinds import Kind, by_document
from plait.store.api import ApiError
from plait.trial import child, load, talk
from plait.trial.scene import Pod, Scene, finished, until
from plait.trial.waypoint import manifests
from plait.trial.waypoint.manifests import CLIENT, NAME, NAMESPACE, PORT, SERVICE, TARGET, Document

PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Asked:
    """Requests of one kind: what the client got, and how many came to each version, as the servers counted."""

    statuses: Counter[int]
    proxied: int
    """Answers that an HTTP proxy gave or passed on."""
    arrived: Counter[str]

    @property
    def sent(self) -> int:
        return self.statuses.total()


class Stage:
    """`await Stage.of(scene)` sets the world up."""

    def __init__(self, scene: Scene, client: Pod, addresses: dict[str, str]) -> None:
        self.scene, self.client, self.addresses = scene, client, addresses

    @classmethod
    async def of(cls, scene: Scene) -> Stage:
        for each in manifests.world():
            await _apply(scene, each)
        await scene.wait_ready([NAMESPACE], PATIENCE)
        await until(lambda: _captured(scene), PATIENCE)
        names = (SERVICE, manifests.AROUND)
        found = {name: (await scene.api.get(kinds.SERVICE, name, NAMESPACE))["spec"]["clusterIP"] for name in names}
        return cls(scene, await scene.pod(NAMESPACE, CLIENT), {name: str(each) for name, each in found.items()})

    async def apply(self, document: Document) -> None:
        await _apply(self.scene, document)

    async def delete(self, kind: Kind, name: str) -> None:
        await self.scene.api.delete(kind, name, NAMESPACE)

    async def use(self, waypoint: str | None) -> None:
        body = {"metadata": {"labels": {wellknown.USE_WAYPOINT: waypoint}}}
        await self.scene.api.patch(kinds.SERVICE, SERVICE, body, NAMESPACE)

    async def scale(self, replicas: int) -> None:
        body = {"spec": {"replicas": replicas}}
        await self.scene.api.patch(kinds.DEPLOYMENT, NAME, body, NAMESPACE, subresource="scale")

    async def proxies(self) -> int:
        """Pods of the waypoint, whatever their state."""
        pods, _ = await self.scene.api.list(kinds.POD, NAMESPACE, labels=f"{wellknown.GATEWAY_NAME}={NAME}")
        return len(pods)

    async def present(self, kind: Kind) -> bool:
        try:
            await self.scene.api.get(kind, NAME, NAMESPACE)
        except ApiError as error:
            if error.code == 404:
                return False
            raise
        return True

    async def ask(self, count: int, path: str = "/", host: str = "", port: int = PORT) -> Asked:
        """One after another, a connection each."""
        address, tag = host or self.addresses[SERVICE], secrets.token_hex(6)

        async def work(_: asyncio.Event) -> list[talk.Reply]:
            return [await talk.get(address, port, path, (("x-tag", tag),)) for _ in range(count)]

        replies = await self.scene.inside(self.client, work)
        proxied = sum(each.server == "istio-envoy" for each in replies)
        return Asked(Counter(each.status for each in replies), proxied, await self.counted(tag))

    async def counted(self, tag: str) -> Counter[str]:
        """How often each version saw the tag, asked from beside it: no proxy is on the way."""
        found: Counter[str] = Counter()
        for version in manifests.VERSIONS:
            for pod in await self.scene.pods(NAMESPACE, f"app={SERVICE},version={version}"):
                reply = await self.scene.inside(pod, lambda _: talk.get("127.0.0.1", TARGET, f"/count/{tag}"))
                found[version] += int(json.loads(reply.body)["count"])
        return found

    def loading(self, rate: float, seconds: float = 0.0) -> tuple[child.Child[load.Result], str]:
        """Requests at a rate, a connection each, with a tag of their own."""
        tag = secrets.token_hex(6)
        plan = load.Plan(
            self.addresses[SERVICE], PORT, rate, seconds, connections=100, keep_alive=False, headers=(("x-tag", tag),)
        )
        return child.start(lambda stop: load.run(plan, stop), self.client.netns, self.scene.holder), tag

    async def burst(self, rate: float, seconds: float) -> tuple[load.Result, int]:
        """What the client saw of such requests, and how many arrived."""
        running, tag = self.loading(rate, seconds)
        return await finished(running), (await self.counted(tag)).total()


async def _apply(scene: Scene, document: Document) -> None:
    kind, meta = by_document(document), document["metadata"]
    assert kind is not None, document
    await scene.api.patch(kind, meta["name"], document, meta.get("namespace", ""), type="apply", force=True)


async def _captured(scene: Scene) -> str:
    pods = await scene.pods(NAMESPACE)
    late = [pod.name for pod in pods if pod.annotations.get(wellknown.REDIRECTION) != "enabled"]
    return f"not captured: {', '.join(late)}" if late else ""
