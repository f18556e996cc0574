from __future__ import annotations

from pathlib import Path

from plait.app.snapshot import Snapshot
from plait.base.bundle import Resource

ROUTES, LISTENERS = "type.googleapis.com/a.Route", "type.googleapis.com/a.Listener"


def made(name: str, value: bytes = b"x") -> Resource:
    return Resource(name, "1", value)


def test_what_was_saved_is_loaded_and_only_types_that_changed_are_written(tmp_path: Path) -> None:
    snapshot = Snapshot(tmp_path)
    snapshot.apply(ROUTES, [made("r")], ())
    snapshot.apply(LISTENERS, [made("l")], ())
    assert snapshot.dirty
    snapshot.save()
    assert not snapshot.dirty
    (tmp_path / "a.Listener.bin").write_bytes(b"written by nobody")
    snapshot.apply(ROUTES, [made("r", b"y")], ())
    snapshot.save()
    assert (tmp_path / "a.Listener.bin").read_bytes() == b"written by nobody"
    loaded = Snapshot(tmp_path)
    loaded.load()
    assert loaded.types == {ROUTES: {"r": made("r", b"y")}}, "a damaged file costs its own type"


def test_the_first_delta_after_a_start_is_complete(tmp_path: Path) -> None:
    snapshot = Snapshot(tmp_path)
    snapshot.apply(ROUTES, [made("old"), made("stays")], ())
    snapshot.save()
    loaded = Snapshot(tmp_path)
    loaded.load()
    assert loaded.apply(ROUTES, [made("stays")], ()) == ("old",)
    assert loaded.apply(ROUTES, [made("new")], ()) == ()
    assert loaded.types[ROUTES].keys() == {"stays", "new"}
