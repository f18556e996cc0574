"""A revoked identity: its open connection is cut within 10 s, it makes no new one, and others do not notice."""

from __future__ import annotations

import os
import time

import pytest

from kit.mesh import LONG, ONCE, PAIR, mesh, until
from plait.resources import kinds

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.skipif(os.geteuid() != 0, reason="enters namespaces of the host: needs root"),
]
REVOKED = """
apiVersion: v1
kind: ConfigMap
metadata: {name: plait-revoked, namespace: istio-system}
data:
  list: |
    spiffe://cluster.local/ns/duo/sa/thief  # laptop lost
    no identity at all
"""
THIEF = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: thief, namespace: duo}
---
""" + PAIR.split("---")[1].replace("name: client", "name: thief").replace("app: client", "app: thief").replace(
    "terminationGracePeriodSeconds", "serviceAccountName: thief\n  terminationGracePeriodSeconds"
)


@pytest.mark.reliability(number=30)
def test_a_revoked_identity_is_cut_and_kept_out_and_nobody_else() -> None:
    with mesh(f"revoke{os.getpid()}") as mine:
        mine.up("--nodes", "2")
        mine.apply(PAIR)
        mine.apply(THIEF)
        mine.ready("duo", "client", "echo", "thief")
        mine.enrol("duo")
        mine.captured("duo", "client", "echo", "thief")
        address = str(mine.get(kinds.SERVICE, "echo", "duo")["spec"]["clusterIP"])
        honest = mine.start("client", LONG, address, "9000")
        thief = mine.start("thief", LONG, address, "9000")
        try:
            assert honest.stdout is not None and honest.stdout.readline() == "ok\n"
            assert thief.stdout is not None and thief.stdout.readline() == "ok\n"
            mine.apply(REVOKED)
            took = until(lambda: thief.poll() is not None, "the thief's connection is cut", 10.0)
            assert took < 10 and not mine.works("thief", ONCE, address, "9000")
            assert mine.works("client", ONCE, address, "9000")
            time.sleep(1)
            assert honest.poll() is None, "another identity's connection stays"
            mine.plait("delete", "configmap", "plait-revoked", "-n", "istio-system")
            until(lambda: mine.works("thief", ONCE, address, "9000"), "taken off the list it works again")
        finally:
            for each in (honest, thief):
                each.kill()
                each.communicate()
