"""What a mesh that comes up chooses, beside others that are up or are coming up."""

from __future__ import annotations

import socket

import pytest

from plait.app import launch


def test_a_port_that_another_mesh_has_chosen_is_not_free_though_nobody_listens_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        usual = probe.getsockname()[1]
    monkeypatch.setattr(launch, "DEFAULT_PORT", usual)
    assert launch._choose_port(0, set()) == usual
    assert launch._choose_port(0, {usual}) not in (0, usual)
    with pytest.raises(launch.LaunchError, match=f"127.0.0.1:{usual} is in use; leave --port out"):
        launch._choose_port(usual, {usual})


def test_a_port_that_somebody_listens_on_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        usual = other.getsockname()[1]
        monkeypatch.setattr(launch, "DEFAULT_PORT", usual)
        assert launch._choose_port(0, set()) not in (0, usual)
