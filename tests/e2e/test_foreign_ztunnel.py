"""`--dataplane ztunnel` with a stand-in program: capture, discovery, certificates and the proxy's death.

There is no ztunnel binary here: the stand-in (kit/ztunnel.py) speaks its protocols by field number and forwards in
plaintext. That a stock ztunnel's data plane works is not shown by this.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from kit.mesh import ONCE, PAIR, Mesh, mesh, until
from plait.resources import kinds

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="enters namespaces of the host: needs root"),
]


def seen(mine: Mesh, node: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((mine.layout.node(node) / "ztunnel" / "ztunnel-seen.json").read_text())
    return found


def test_a_foreign_ztunnel_gets_pods_addresses_and_certificates_and_may_die(tmp_path: Path) -> None:
    program = tmp_path / "ztunnel"
    kit = Path(__file__).parents[1]
    program.write_text(f"#!/bin/sh\nPYTHONPATH={kit} exec {sys.executable} -u -m kit.ztunnel\n")
    program.chmod(0o755)
    with mesh(f"foreign{os.getpid()}") as mine:
        mine.up("--nodes", "2", "--dataplane", "ztunnel", "--ztunnel", str(program))
        mine.apply(PAIR)
        mine.ready("duo", "client", "echo")
        mine.enrol("duo")
        mine.captured("duo", "client", "echo")
        one, two = seen(mine, "node-1"), seen(mine, "node-2")
        assert one["pods"] == ["duo/client"] and two["pods"] == ["duo/echo"], "each node hears of its own pods"
        assert one["identities"] == ["spiffe://cluster.local/ns/duo/sa/default"]
        address = str(mine.get(kinds.SERVICE, "echo", "duo")["spec"]["clusterIP"])
        until(lambda: "Kubernetes//Pod/duo/echo" in seen(mine, "node-1")["addresses"], "it knows the other node's pod")
        assert "duo/echo.duo.svc.cluster.local" in seen(mine, "node-1")["addresses"]
        assert mine.works("client", ONCE, address, "9000"), "through both captures"
        old = one["pid"]
        mine.kill(old)
        until(lambda: seen(mine, "node-1")["pid"] != old, "started again")
        until(lambda: mine.works("client", ONCE, address, "9000"), "and it serves the pod again")
        status = mine.plait("status")
        assert "ztunnel" in status.stdout, status.stdout + status.stderr
        mine.enrol("duo", None)
        mine.captured("duo", "client", "echo", value=False)
        assert mine.works("client", ONCE, address, "9000"), "out of the mesh it goes its own way"
