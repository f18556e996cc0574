"""Laws of storage: what was acknowledged comes back, and a watch from any revision rebuilds the present."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.store.api import Document
from plait.store.journal import Journal
from plait.store.state import Name, State
from plait.store.storage import Storage

ADDRESS = ("", "configmaps")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
WRITES = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["put", "remove"]), VALUES), max_size=25)


def document(name: str, value: object) -> Document:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "d"}, "data": value}


def carry_out(storage: Storage, writes: list[tuple[str, str, object]]) -> dict[Name, object]:
    model: dict[Name, object] = {}
    for name, action, value in writes:
        key = ("d", name)
        if action == "put":
            storage.put(ADDRESS, document(name, value))
            model[key] = value
        elif key in model:
            storage.remove(ADDRESS, key)
            del model[key]
    return model


def present(state: State) -> dict[Name, object]:
    return {("d", r.document["metadata"]["name"]): r.document["data"] for r in state.list(ADDRESS)}


@settings(max_examples=40, deadline=None)
@given(writes=WRITES, compact=st.integers(0, 25))
def test_a_reopened_store_gives_back_every_field_at_its_revision(
    writes: list[tuple[str, str, object]], compact: int
) -> None:
    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / "s.db"
        storage = Storage(path)
        model = carry_out(storage, writes)
        storage.compact(min(compact, storage.state.revision))
        revision, before = storage.state.revision, [r.document for r in storage.state.list(ADDRESS)]
        storage.close()
        again = Storage(path)
        assert present(again.state) == model
        assert [r.document for r in again.state.list(ADDRESS)] == before
        assert again.state.revision == revision
        again.close()


@settings(max_examples=40, deadline=None)
@given(writes=WRITES, cut=st.integers(0, 25))
def test_a_watch_from_any_revision_rebuilds_the_present(writes: list[tuple[str, str, object]], cut: int) -> None:
    with tempfile.TemporaryDirectory() as made:
        storage = Storage(Path(made) / "s.db")
        carry_out(storage, writes[:cut])
        seen, start = present(storage.state), storage.state.revision
        watcher = storage.watches.open(ADDRESS, lambda d: True, after=start)
        late = carry_late(storage, writes[cut:])
        replayed = storage.watches.open(ADDRESS, lambda d: True, after=start)
        for follower in (watcher, replayed):
            rebuilt, last = dict(seen), start
            for kind, record in asyncio.run(follower.take(0)) or ():
                assert record.revision > last
                last = record.revision
                name = ("d", record.document["metadata"]["name"])
                if kind == "DELETED":
                    del rebuilt[name]
                else:
                    assert (kind == "MODIFIED") is (name in rebuilt)
                    rebuilt[name] = record.document["data"]
            assert rebuilt == present(storage.state)
            assert last == start + late
        storage.close()


def carry_late(storage: Storage, writes: list[tuple[str, str, object]]) -> int:
    before = storage.state.revision
    for name, action, value in writes:
        if action == "put":
            storage.put(ADDRESS, document(name, value))
        elif storage.state.get(ADDRESS, ("d", name)):
            storage.remove(ADDRESS, ("d", name))
    return storage.state.revision - before


@settings(max_examples=30, deadline=None)
@given(names=st.permutations("abcde"))
def test_the_order_of_writes_to_different_objects_does_not_matter(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as made:
        storage = Storage(Path(made) / "s.db")
        carry_out(storage, [(name, "put", name) for name in names])
        assert present(storage.state) == {("d", name): name for name in "abcde"}
        storage.close()


_WRITER = """
import sys
from pathlib import Path
from plait.store.storage import Storage
storage = Storage(Path(sys.argv[1]))
for number in range(100_000):
    meta = {"name": f"n{number % 50}", "namespace": "d"}
    change = storage.put(("", "configmaps"), {"kind": "ConfigMap", "metadata": meta, "data": number})
    sys.stdout.write(f"{change.revision} {number}\\n")
    sys.stdout.flush()
"""


@pytest.mark.reliability(number=7)
def test_kill_9_loses_no_acknowledged_write(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    said = [writer.stdout.readline() for _ in range(300)]
    os.kill(writer.pid, signal.SIGKILL)
    said += writer.stdout.readlines()
    writer.wait()
    writer.stdout.close()
    acknowledged = dict(map(int, line.split()) for line in said if line.endswith("\n"))
    journal = Journal(path)
    kept = {change.revision: change.record.document["data"] for change in journal.replay()}
    journal.close()
    assert acknowledged.items() <= kept.items()
    assert len(kept) - len(acknowledged) <= 1  # the write under way when the process died
