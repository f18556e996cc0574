"""A mesh's directory may not be so long that its sockets cannot be bound: told before anything is started."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from plait.app.launch import LaunchError, prepare
from plait.local.layout import SOCKET_PATH_LIMIT, Layout


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
