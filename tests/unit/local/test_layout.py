"""A mesh's directory may not be so long that its sockets cannot be bound: told before anything is started."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from plait.app.launch import LaunchError, prepare
from plait.local.layout import SOCKET_PATH_LIMIT, BadName, Layout


def test_the_limit_is_the_kernels(tmp_path: Path) -> None:
    for length, fits in ((SOCKET_PATH_LIMIT, True), (SOCKET_PATH_LIMIT + 1, False)):
        path = str(tmp_path / ("s" * (length - len(str(tmp_path)) - 1)))
        with socket.socket(socket.AF_UNIX) as server:
            if fits:
                server.bind(path)
            else:
                with pytest.raises(OSError, match="too long"):
                    server.bind(path)


def test_a_root_that_is_too_long_is_refused_with_the_way_out(tmp_path: Path) -> None:
    assert Layout("default", Path("/home/somebody/.local/state/plait/default")).too_long == 0
    layout = Layout("default", tmp_path / ("r" * 60) / "default")
    assert layout.too_long > 0
    with pytest.raises(LaunchError, match=r"characters too long.*PLAIT_HOME"):
        prepare(layout, nodes=1, port=0)
    assert not layout.root.exists()


@pytest.mark.parametrize("name", ["", ".", "..", "/", "a/b", "../a", "a b", "-a", "a-", "a.b", "é", "a" * 64, "a\n"])
def test_a_name_that_leads_out_of_its_directory_is_refused(name: str) -> None:
    with pytest.raises(BadName, match="letters, digits and dashes"):
        Layout.of(name)


def test_namespaces_of_a_mesh_are_not_those_of_one_whose_name_begins_alike() -> None:
    one, other = Layout.of("demo"), Layout.of("demo-2")
    for suffix in ("fab", "node-1", "node-16", "node-2-zt"):
        assert one.is_netns(one.netns(suffix)) and not one.is_netns(other.netns(suffix))
        assert other.is_netns(other.netns(suffix)) and not other.is_netns(one.netns(suffix))
    assert one.is_netns(one.pod_netns("uid")) and not one.is_netns(other.pod_netns("uid"))
