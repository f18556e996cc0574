"""The story of `plait demo --fusion`: the same YAML, the same requests, every pair of modes, one table at the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from plait.base import aio
from plait.model.enforcement import ClientMode, ServerMode
from plait.resources import kinds
from plait.resources.kinds import by_document
from plait.trial.evidence import Evidence
from plait.trial.fusion import manifests, telemetry
from plait.trial.fusion.corpus import Case, cases
from plait.trial.fusion.run import Finding, Trial
from plait.trial.scene import Scene, until

_READY = 60.0


class Keys:
    """An issuer of tokens that the services trust, and one that they do not."""

    def __init__(self) -> None:
        self._own, self._foreign = (rsa.generate_private_key(65537, 2048) for _ in range(2))

    @property
    def jwks(self) -> str:
        key: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(self._own.public_key()))
        return json.dumps({"keys": [{**key, "kid": "one"}]})

    def cases(self) -> tuple[Case, ...]:
        return cases(self._token(self._own), self._token(self._foreign))

    def _token(self, key: rsa.RSAPrivateKey) -> str:
        claims = {"iss": manifests.ISSUER, "sub": "ann", "exp": int(aio.now()) + 3600}
        return jwt.encode(claims, key, algorithm="RS256", headers={"kid": "one"})


async def set_up(scene: Scene, keys: Keys) -> Trial:
    """The world is there, its pods are ready and the waypoint serves."""
    for document in manifests.world(keys.jwks):
        kind, meta = by_document(document), document["metadata"]
        assert kind is not None, document
        await scene.api.patch(kind, meta["name"], document, meta.get("namespace", ""), type="apply", force=True)
    await scene.wait_ready([manifests.NAMESPACE], _READY)
    await until(lambda: _programmed(scene), _READY)
    await until(lambda: _captured(scene), _READY)
    trial = await Trial.of(scene)
    (probe,) = (case for case in keys.cases() if case.name == "deny")

    async def judged() -> str:
        """A policy that acts at the waypoint: its way there is known to the clients, and it knows the policy."""
        (found,) = await trial.ask("ambient", "ambient+waypoint", (probe,))
        return "" if found.held else f"the waypoint does not refuse yet: {found.seen.status}"

    await until(judged, _READY)
    return trial


async def tell(scene: Scene, evidence: Evidence, say: Callable[[str], None]) -> list[Finding]:
    """Every cell, one check each; the table at the end."""
    keys = Keys()
    trial = await set_up(scene, keys)
    findings: list[Finding] = []
    for client in manifests.CLIENTS:
        for server in manifests.SERVERS:
            found = await trial.ask(client, server, keys.cases())
            findings += found
            evidence.check(f"{client} -> {server}", all(each.held for each in found), _evidence(found))
    alike, words = telemetry.alike(findings, trial.reported)
    evidence.check("whoever applies reports alike", alike, words)
    say(table(findings))
    return findings


def _evidence(found: list[Finding]) -> str:
    wrong = [each for each in found if not each.held]
    if wrong:
        one = wrong[0]
        return f"{one.case.name}: wanted {one.wanted.wanted}, got {one.seen.verdict} ({one.seen.body[:120]})"
    words = []
    for wanted in ("applied", "refused", "not applied"):
        those = [each for each in found if each.wanted.wanted == wanted]
        if those:
            points = sorted({each.wanted.point for each in those} - {"nowhere"})
            words.append(f"{len(those)} {wanted}{' at the ' + ' and the '.join(points) if points else ''}")
    return "; ".join(words)


def table(findings: Iterable[Finding]) -> str:
    """Rows are clients, columns servers: how many cases were applied once, refused, or nobody's by definition."""
    cells: dict[tuple[ClientMode, ServerMode], str] = {}
    grouped: dict[tuple[ClientMode, ServerMode], list[Finding]] = {}
    for each in findings:
        grouped.setdefault((each.client, each.server), []).append(each)
    for cell, found in grouped.items():
        marks = [each.wanted.wanted for each in found]
        text = " ".join(
            f"{marks.count(wanted)}{letter}"
            for wanted, letter in (("applied", "a"), ("refused", "r"), ("not applied", "-"))
            if wanted in marks
        )
        cells[cell] = text if all(each.held for each in found) else f"FAIL {text}"
    clients, servers = list(manifests.CLIENTS), list(manifests.SERVERS)
    width = max(len(each) for each in (*servers, *cells.values())) + 2
    lines = ["client / server".ljust(20) + "".join(server.ljust(width) for server in servers)]
    lines += [
        client.ljust(20) + "".join(cells.get((client, server), "").ljust(width) for server in servers)
        for client in clients
    ]
    return "\n".join([*lines, "a applied exactly once, r refused (fails closed), - nobody on the way reads HTTP"])


async def _programmed(scene: Scene) -> str:
    gateway = await scene.api.get(kinds.GATEWAY, "waypoint", manifests.NAMESPACE)
    conditions = (gateway.get("status") or {}).get("conditions") or ()
    ready = any(each["type"] == "Programmed" and each["status"] == "True" for each in conditions)
    return "" if ready else "the waypoint is not Programmed"


async def _captured(scene: Scene) -> str:
    wanted = {name for mode, name in manifests.CLIENTS.items() if mode.startswith("ambient")}
    wanted |= {f"{name}-{v}" for m, name in manifests.SERVERS.items() if m.startswith("ambient") for v in ("v1", "v2")}
    pods = await scene.pods(manifests.NAMESPACE)
    late = wanted - {pod.name for pod in pods if pod.annotations.get("ambient.istio.io/redirection") == "enabled"}
    return f"not captured: {', '.join(sorted(late))}" if late else ""
