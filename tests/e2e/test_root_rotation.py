"""Certificates of 20 s and a change of the root to a plugged-in intermediate, under load on a mesh: nothing is lost."""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec
import pytest

from kit.mesh import MANY, ONCE, PAIR, Mesh, mesh, talking, until
from kit.pki import intermediate
from plait.base import aio
from plait.identity import trust
from plait.proxy.keyring import Kept
from plait.resources import kinds

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.skipif(os.geteuid() != 0, reason="enters namespaces of the host: needs root"),
]
_LIFETIME = 20


def roots(mine: Mesh) -> tuple[str, ...]:
    return trust.load(mine.layout.mesh_ca).roots


def leaves(mine: Mesh, node: str) -> set[str]:
    """The certificates that node's agent holds for its pods, as it keeps them on disk."""
    kept = [
        msgspec.msgpack.decode(file.read_bytes(), type=Kept) for file in (mine.layout.node(node) / "keys").iterdir()
    ]
    return {each.chain for each in kept}


@pytest.mark.reliability(number=15)
def test_short_certificates_and_a_new_root_under_load_lose_nothing(tmp_path: Path) -> None:
    with mesh(f"roots{os.getpid()}") as mine:
        mine.up("--nodes", "2", "--certificate-lifetime", str(_LIFETIME))
        mine.apply(PAIR)
        mine.ready("duo", "client", "echo")
        mine.enrol("duo")
        mine.captured("duo", "client", "echo")
        address = str(mine.get(kinds.SERVICE, "echo", "duo")["spec"]["clusterIP"])
        old = roots(mine)
        before = leaves(mine, "node-1")
        company = intermediate("company", aio.now())
        trust.save(tmp_path, company)
        load = mine.start("client", MANY, address, "9000", "36")
        with talking(mine, "client", address):
            done = mine.plait("ca", "rotate", "--from", str(tmp_path))
            assert done.returncode == 0, done.stderr
            until(lambda: not (mine.layout.mesh_ca / "next").exists(), "the new root signs", 15.0)
            both = roots(mine)
            assert set(old) < set(both), "the old root stays trusted beside the new one"
            new = set(both) - set(old)
            assert new == set(company.roots)
            until(lambda: leaves(mine, "node-1").isdisjoint(before), "certificates were renewed", 15.0)
            assert all(company.signer.chain[0] in chain for chain in leaves(mine, "node-1")), (
                "the intermediate goes along"
            )
            until(lambda: set(roots(mine)) == new, "the old root is trusted no more", _LIFETIME + 10.0)
            assert mine.works("client", ONCE, address, "9000")
            out, err = load.communicate(timeout=60)
        done_count, lost = map(int, re.findall(r"\d+", out))
        assert lost == 0 and done_count > 200, f"{out} {err[-400:]}"
        until(lambda: mine.works("client", ONCE, address, "9000"), "and a new connection works under the new root only")
