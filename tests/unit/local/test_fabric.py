"""What is left of a mesh on this machine is looked for where it can be."""

from __future__ import annotations

import os

import pytest

from plait.local import fabric


def test_who_is_not_root_has_no_namespaces_below_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plait.local.fabric.Path.iterdir", lambda _: iter([fabric.Layout.of("a").netns("fab")]))
    monkeypatch.setattr("plait.local.fabric.Path.is_dir", lambda _: True)
    for user, names in ((0, ["plait-a-fab"]), (1000, [])):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        assert [path.name for path in fabric.remains("a")] == names
