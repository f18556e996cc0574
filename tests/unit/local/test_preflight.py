from __future__ import annotations

import os
from pathlib import Path

import pytest

from plait.app import launch
from plait.local import preflight
from plait.local.addresses import FAMILIES
from plait.local.layout import Layout

root = pytest.mark.skipif(os.geteuid() != 0, reason="makes a network namespace: needs root")


@root
@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this kernel has no IPv6")
def test_what_the_kernel_refuses_is_said_in_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "_CAPTURE6", ("true", "ls /no/such/table"))
    why = preflight.ipv6()
    assert why.startswith("the kernel refuses `ls /no/such/table`: ") and "No such file" in why


def test_a_mesh_of_both_families_is_not_begun_where_it_cannot_be_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "missing", list)
    monkeypatch.setattr(preflight, "ipv6", lambda: "no table")
    layout = Layout("six", Path("/nowhere/six"))
    with pytest.raises(launch.LaunchError, match="--ip-families IPv4,IPv6: no table"):
        launch.prepare(layout, 1, 0, ip_families=FAMILIES[1])
    with pytest.raises(launch.LaunchError, match="--ip-families IPv6,IPv4: say IPv4 or IPv4,IPv6 or IPv6"):
        launch.prepare(layout, 1, 0, ip_families=("IPv6", "IPv4"))
    assert not layout.record.exists()
