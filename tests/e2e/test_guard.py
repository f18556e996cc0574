"""What gets around a waypoint is refused: by the pod's address, by another service's name, with no waypoint at all."""

from __future__ import annotations

import json
import os
from functools import partial

import pytest

from kit import behind_waypoint
from kit.behind_waypoint import NO_KEYRINGS, SHOP, begun, together
from kit.mesh import mesh, until
from plait.resources import kinds

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.skipif(os.geteuid() != 0, reason="enters namespaces of the host: needs root"),
]
OTHERS = """
apiVersion: v1
kind: Service
metadata: {name: alias, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8000}]}
---
apiVersion: v1
kind: Pod
metadata: {name: outsider, namespace: shop, labels: {app: outsider, istio.io/dataplane-mode: none}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: busybox, command: [sleep, "1000"]}]
"""


@pytest.mark.reliability(number=5)
def test_nobody_gets_around_a_policy_and_without_policy_nobody_has_to_come_through() -> None:
    with mesh(f"grd{os.getpid()}") as mine:
        begun(mine, together(SHOP, OTHERS))
        mine.ready("shop", "outsider")
        vip, alias = (mine.get(kinds.SERVICE, name, "shop")["spec"]["clusterIP"] for name in ("web", "alias"))
        direct = f"{mine.get(kinds.POD, 'web', 'shop')['status']['podIP']}:8000"

        answer = partial(behind_waypoint.answer, mine)

        for host in (vip, alias, direct):
            until(lambda host=host: answer(host, "/keyrings/") == "200", f"{host} answers while nothing is forbidden")
        assert answer(direct, who="outsider") == "200"

        mine.apply(NO_KEYRINGS)
        until(lambda: answer(vip, "/keyrings/") == "403", "the waypoint refuses what the policy denies")
        assert answer(vip) == "200"
        until(lambda: answer(direct) == "closed", "the pod's own address is closed to whoever is not the waypoint")
        assert [answer(direct, "/keyrings/", who) for who in ("client", "outsider")] == ["closed", "closed"]
        assert answer(alias, "/keyrings/") == "503", "another service's name leads nowhere"

        for server, path, wanted in (
            ("shop/web", "/", (True, "")),
            ("shop/web", "/keyrings/", (False, "waypoint")),
            ("pod/shop/web:8000", "/", (False, "server node proxy")),
        ):
            said = mine.plait("explain", "shop/client", server, "--request", "GET", path, "-o", "json")
            verdict = json.loads(said.stdout)[0]["verdict"]
            assert (verdict["allowed"], verdict["point"]) == wanted, verdict

        mine.scale("waypoint", 0, "shop")
        until(lambda: answer(vip) == "closed", "without a waypoint its policy is not skipped")
        assert answer(direct) == "closed"

        mine.plait("delete", "authorizationpolicy", "no-keyrings", "-n", "shop")
        until(lambda: answer(direct, "/keyrings/") == "200", "what is bound by nothing needs no waypoint")
