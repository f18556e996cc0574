"""A configuration that the proxy refuses is told on the pod it belongs to, once, and taken back."""

from __future__ import annotations

from pathlib import Path

from plait.app.configuration import Configuration, Refusal
from plait.app.refusals import Complaints
from plait.app.snapshot import Snapshot
from plait.base.bundle import Bundle, Resource
from plait.envoy import names
from plait.envoy.options import Options
from plait.model.mesh import Settings
from plait.node.forms import Target
from plait.xds.messages import Request
from plait.xds.session import Session
from plait.xds.types import DEFAULT

POD = Target("u1", "shop", "order", "order", Path("/nowhere"), ("10.99.1.11",))
WRONG = Refusal(names.LISTENER, "outbound|u1", "u1", "no such address")


class Config:
    def __init__(self) -> None:
        self.now: tuple[Refusal, ...] = ()

    def refusals(self) -> tuple[Refusal, ...]:
        return self.now


class Voice:
    def __init__(self) -> None:
        self.events: list[str] = []
        self.conditions: list[tuple[bool, str]] = []
        self.away = False

    async def event(self, target: Target, reason: str, message: str, *, warning: bool) -> None:
        assert target is POD and warning
        self.events.append(message)

    async def condition(self, target: Target, accepted: bool, message: str) -> None:
        if self.away:
            raise ConnectionError("no API server")
        self.conditions.append((accepted, message))


async def test_refusal_is_told_once_with_the_way_out_and_taken_back() -> None:
    config, voice = Config(), Voice()
    complaints = Complaints(config, voice, {"u1": POD})
    config.now = (WRONG, Refusal(names.CLUSTER, "shared", "", "elsewhere"))
    await complaints.look()
    await complaints.look()
    (said,) = voice.events
    assert "outbound|u1" in said and "no such address" in said and "undo" in said
    config.now = ()
    await complaints.look()
    await complaints.look()
    assert [accepted for accepted, _ in voice.conditions] == [False, True] and len(voice.events) == 1


async def test_refusal_is_told_later_when_the_api_server_is_away() -> None:
    config, voice = Config(), Voice()
    complaints = Complaints(config, voice, {"u1": POD})
    config.now, voice.away = (WRONG,), True
    await complaints.look()
    assert voice.events == []
    voice.away = False
    await complaints.look()
    assert len(voice.events) == 1


def test_a_nack_of_one_listener_names_its_pod_until_a_later_version_is_taken(tmp_path: Path) -> None:
    config = Configuration("n", Settings(), Snapshot(tmp_path / "s"), Options(access_log="/dev/null"))
    listener = Resource("outbound|u1", "1", b"")
    config.cache.set(Bundle({names.LISTENER: {listener.name: listener}}))
    session = Session(config.cache, DEFAULT)
    config.cache.attach(session, lambda: None)
    (sent,) = session.receive(Request(names.LISTENER))
    session.receive(Request(names.LISTENER, nonce=sent.nonce, error="outbound|u1: cannot bind"))
    (refusal,) = config.refusals()
    assert (refusal.pod, refusal.vital) == ("u1", True) and "listen on another port" in str(refusal)
    assert config.types()[names.LISTENER] == {"resources": 1, "subscribed": True, "acknowledged": "", "waiting": 0}
    config.cache.set(Bundle({names.LISTENER: {listener.name: Resource(listener.name, "2", b"")}}))
    (sent,) = session.refresh()
    session.receive(Request(names.LISTENER, nonce=sent.nonce))
    assert config.refusals() == ()
