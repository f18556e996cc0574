"""What users ask a running mesh: does every proxy have its configuration, what exactly has one, what is wrong?"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from kit.behind_waypoint import NAMESPACE, SERVER, SERVICE, WAYPOINT, together
from kit.mesh import Mesh, mesh, until
from plait.resources import kinds

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="enters namespaces of the host: needs root"),
]
WORLD = together(NAMESPACE, WAYPOINT, SERVICE, SERVER)
BROKEN = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec: {hosts: [web], http: [{route: [{destination: {host: nowhere}}]}]}
"""


def asked(mine: Mesh, *arguments: str) -> tuple[int, Any]:
    done = mine.plait(*arguments, "-o", "json")
    assert "PRIVATE KEY" not in done.stdout
    return done.returncode, json.loads(done.stdout) if done.stdout else None


def test_proxies_say_what_they_have_and_analysis_what_is_wrong() -> None:
    with mesh(f"diag{os.getpid()}") as mine:
        mine.up("--nodes", "2")
        mine.apply(WORLD)
        mine.ready("shop", "web")
        mine.captured("shop", "web")
        mine.programmed("shop", "waypoint")

        until(lambda: asked(mine, "proxy-status")[0] == 0, "every proxy has what it is told")
        _, found = asked(mine, "proxy-status")
        roles = {each["proxy"]: each["role"] for each in found}
        waypoint = next(name for name, role in roles.items() if role == "waypoint")
        assert roles == {"node:node-1": "node", "node:node-2": "node", waypoint: "waypoint"}
        types = next(each["types"] for each in found if each["proxy"] == waypoint)
        assert {types[each]["state"] for each in ("CDS", "LDS", "EDS", "RDS", "SDS")} == {"SYNCED"}
        assert mine.plait("proxy-status", "shop/none").returncode == 2

        code, clusters = asked(mine, "proxy-config", "cluster", waypoint)
        assert code == 0
        assert "inbound-vip|80|http|web.shop.svc.cluster.local" in {each["name"] for each in clusters}
        _, secrets = asked(mine, "proxy-config", "secret", waypoint)
        keys = {each["name"]: each["secret"].get("tls_certificate", {}).get("private_key") for each in secrets}
        assert keys == {"default": "[redacted]", "ROOTCA": None}
        _, everything = asked(mine, "proxy-config", "all", "node:node-1")
        assert {"cluster", "listener", "route", "endpoint", "secret", "bootstrap", "ecds"} == everything.keys()
        table = mine.plait("proxy-config", "endpoint", waypoint, "--match", "web.shop").stdout
        assert "HEALTHY" in table and ":8000" in table and "xds.sock" not in table
        _, levels = asked(mine, "proxy-config", "log", waypoint, "--level", "rbac:debug,http:info")
        assert {"logger": "rbac", "level": "debug"} in levels and {"logger": "main", "level": "warning"} in levels
        assert "unknown logger level" in mine.plait("proxy-config", "log", waypoint, "--level", "nonsense").stderr
        for wrong in (["cluster", "shop/web"], ["clutter", waypoint], ["route", waypoint, "--level", "debug"]):
            done = mine.plait("proxy-config", *wrong)
            assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr

        def bound() -> str:
            status = mine.get(kinds.SERVICE, "web", "shop")["status"]
            return str([each["status"] for each in status.get("conditions") or () if "Waypoint" in each["type"]])

        until(lambda: bound() == "['True']", "the service says that it is bound to its waypoint")
        assert asked(mine, "analyze", "-n", "shop") == (0, [])
        mine.apply(BROKEN)
        code, found = asked(mine, "analyze", "-n", "shop")
        assert (code, [(each["code"], each["name"]) for each in found]) == (1, [("IST0101", "web")])

        def reconciled() -> str:
            status = mine.get(kinds.VIRTUAL_SERVICE, "web", "shop").get("status") or {}
            return str([each["status"] for each in status.get("conditions") or ()])

        until(lambda: reconciled() == "['False']", "the object itself says that it is not in effect")
