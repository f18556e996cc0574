"""Who has to acknowledge before a new root signs, and the steps a change takes."""

from __future__ import annotations

from pathlib import Path

from plait.app.rotation import Rotation, node_of, untold
from plait.app.trusting import ROOTS, read
from plait.base.bundle import Resource
from plait.identity import custody
from plait.identity.custody import Custody
from plait.xds.session import SessionState, TypeState

NOW = 1_800_000_000.0


def session(node: str, *, current: bool, asks: bool = True) -> SessionState:
    state = TypeState(True, 0, 0, "1", {}, current)
    return SessionState(
        f"ztunnel~10.0.0.1~ztunnel-{node}.istio-system~istio-system.svc", {ROOTS: state} if asks else {}
    )


def test_a_node_without_a_stream_or_with_an_old_bundle_has_not_been_told() -> None:
    sessions = [session("a", current=True), session("b", current=False)]
    assert untold(["a", "b", "c"], sessions, patience_over=False) == ["b", "c"]


def test_a_foreign_proxy_counts_only_when_its_certificates_have_ended() -> None:
    sessions = [session("a", current=False, asks=False)]
    assert untold(["a"], sessions, patience_over=False) == ["a"]
    assert untold(["a"], sessions, patience_over=True) == []


def test_a_node_name_with_dots_is_read_whole() -> None:
    assert node_of("ztunnel~10.0.0.1~ztunnel-a.example.com.istio-system~x") == "a.example.com"


def test_the_new_root_signs_when_all_know_it_and_the_old_one_goes_when_nothing_under_it_lives(tmp_path: Path) -> None:
    mine, sent = Custody(tmp_path, "mesh", NOW, 1), list[dict[str, Resource]]()
    sessions = [session("a", current=False)]
    rotation = Rotation(mine, sent.append, lambda: ["a"], lambda: sessions, lambda: 60.0)
    custody.offer(tmp_path, "mesh", NOW, 2)
    rotation.step(NOW)
    said = read(sent[-1].values())
    assert said is not None and said.roots.count("BEGIN") == 2 and said.signer == custody.fingerprint(mine.trust)
    rotation.step(NOW + 1000)
    assert mine.phase == "distributing" and rotation.waiting == ["a"]
    sessions[:] = [session("a", current=True)]
    rotation.step(NOW + 1001)
    assert mine.phase == "retiring"
    rotation.step(NOW + 1060)
    assert mine.phase == "retiring"
    rotation.step(NOW + 1062)
    assert mine.phase == "steady"
    last = read(sent[-1].values())
    assert last is not None and last.roots.count("BEGIN") == 1
