"""Asks every case of every cell on a running mesh, and keeps what both ends saw."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace

from plait.model.enforcement import ClientMode, ServerMode
from plait.resources.kinds import SERVICE
from plait.trial.fusion import asking, counters
from plait.trial.fusion.corpus import Case, Seen
from plait.trial.fusion.expected import Expectation, expectation
from plait.trial.fusion.manifests import CLIENTS, NAMESPACE, PORT, SERVERS, WAYPOINT
from plait.trial.scene import Scene


@dataclass(frozen=True, slots=True)
class Finding:
    """One case of one cell."""

    client: ClientMode
    server: ServerMode
    case: Case
    wanted: Expectation
    seen: Seen

    @property
    def held(self) -> bool:
        return self.wanted.met(self.case, self.seen) and (self.wanted.wanted != "applied" or self._in_place)

    @property
    def _in_place(self) -> bool:
        """Whoever acted is the proxy that the planner names."""
        pods = {"waypoint": WAYPOINT, "client sidecar": CLIENTS[self.client], "server sidecar": SERVERS[self.server]}
        return all(pod.startswith(pods.get(self.wanted.point, "nobody")) for pod, _ in self.seen.acted)


class Trial:
    """`await Trial.of(scene)`, then `ask` a cell's cases."""

    def __init__(self, scene: Scene, addresses: Mapping[str, str]) -> None:
        self._scene, self._addresses = scene, addresses
        self.reported: dict[tuple[ClientMode, ServerMode], Mapping[str, Mapping[counters.Series, int]]] = {}
        """What the proxies' metrics say of a cell that was asked, by reporter."""

    @classmethod
    async def of(cls, scene: Scene) -> Trial:
        services = {}
        for name in SERVERS.values():
            services[name] = str((await scene.api.get(SERVICE, name, NAMESPACE))["spec"]["clusterIP"])
        return cls(scene, services)

    async def ask(self, client: ClientMode, server: ServerMode, cases: tuple[Case, ...]) -> list[Finding]:
        pod, host = await self._scene.pod(NAMESPACE, CLIENTS[client]), SERVERS[server]
        address, tags = self._addresses[host], [secrets.token_hex(6) for _ in cases]

        async def all_of_them(stop: asyncio.Event) -> list[Seen]:
            return [await asking.asked(address, PORT, host, case, tag) for case, tag in zip(cases, tags, strict=True)]

        before = await counters.read(self._scene, NAMESPACE)
        seen = await self._scene.inside(pod, all_of_them)
        await asyncio.sleep(0.2)  # mirrored requests are not waited for by anybody
        after = await counters.read(self._scene, NAMESPACE)
        own, mirror = await self._counts(host, tags), await self._counts("mirror", tags)
        self.reported[client, server] = counters.reported(before, after, host)
        found = []
        for case, tag, each in zip(cases, tags, seen, strict=True):
            acted = counters.acted(before, after, case.counter) if case.counter else ()
            whole = replace(each, arrived=own[tag], mirrored=mirror[tag], acted=acted)
            found.append(Finding(client, server, case, expectation(client, server, case), whole))
        return found

    async def _counts(self, app: str, tags: list[str]) -> dict[str, int]:
        """How often each tag came, asked of each server from beside it: no proxy is on the way."""
        found = dict.fromkeys(tags, 0)
        for pod in await self._scene.pods(NAMESPACE, f"app={app}"):
            for tag, count in (await self._scene.inside(pod, lambda stop: _counted(tags))).items():
                found[tag] += count
        return found


async def _counted(tags: list[str]) -> dict[str, int]:
    """Inside a server's pod."""
    found = {}
    for tag in tags:
        request = f"GET /count/{tag} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        (answer,) = await asking.answers("127.0.0.1", 8080, (request,))
        found[tag] = int(json.loads(answer.body)["count"])
    return found
