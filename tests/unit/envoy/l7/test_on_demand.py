"""Which clusters of a sidecar wait to be asked for, and that what needs them asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from kit import l7
from kit.envoys import validate
from kit.l7 import forward, host, route, to, upstream, virtual
from plait.envoy import names
from plait.envoy.l7.on_demand import lazy
from plait.envoy.l7.options import Options
from plait.envoy.roles import sidecar
from plait.model.attachment import Attachment
from plait.model.patches import Plugin, Script
from plait.model.routes import Mirror
from plait.model.views.sidecar import HttpOutbound, SidecarView, TcpOutbound

MIRRORING = structs.replace(route("/", forward("web")), mirrors=(Mirror(to("copy")),))
WEB = virtual(f"{host('web')}:80", MIRRORING, domains=(host("web"),))
VIEW = SidecarView(
    proxy=l7.proxy("sidecar", "client"),
    settings=l7.SETTINGS,
    http=(HttpOutbound(80, (WEB,)),),
    tcp=(TcpOutbound(5432, ("10.64.128.9",), (to("db", 5432),)),),
    upstreams=(upstream("web"), upstream("copy"), upstream("db", port=5432, protocol="tcp")),
    inbound=(),
    default_mtls="permissive",
    unknown="allow_any",
    egress_proxy=None,
    enforced=l7.ENFORCED,
)
SMALL, LARGE = Options(eager=3), Options(eager=2)


def hosts(view: SidecarView, options: Options) -> set[str]:
    return {key[0] for key in lazy(view, options)}


def filters(document: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for chain in (*document.get("filter_chains", ()), document.get("default_filter_chain", {})):
        for each in chain.get("filters", ()):
            found += [http["name"] for http in each["typed_config"].get("http_filters", ())]
            found += ["tcp on demand"] if "on_demand" in each["typed_config"] else []
    return found


def test_a_small_mesh_has_all_early() -> None:
    assert hosts(VIEW, SMALL) == set()
    text = str(sidecar.documents(VIEW, SMALL))
    assert "on_demand" not in text and names.MD_ON_DEMAND not in text


def test_in_a_large_one_waits_what_a_route_or_a_chain_asks_for() -> None:
    assert hosts(VIEW, LARGE) == {host("web"), host("db")}, "a copy of a request cannot wait"
    found = sidecar.documents(VIEW, LARGE)
    marked = {each["name"] for each in found["clusters"] if names.MD_ON_DEMAND in str(each.get("metadata"))}
    assert marked == {f"outbound|80||{host('web')}", f"outbound|5432||{host('db')}"}
    by_name = {each["name"]: each for each in found["listeners"]}
    assert filters(by_name["0.0.0.0_80"])[0] == "envoy.filters.http.on_demand", "before anything acts on the request"
    assert filters(by_name["0.0.0.0_5432"]) == ["tcp on demand"]
    assert not any("on_demand" in name for name in filters(by_name["virtualInbound"]))


def test_nothing_waits_where_something_may_name_any_cluster() -> None:
    enforced = structs.replace(
        VIEW.enforced, plugins=(Plugin("WasmPlugin", "p", "shop", Attachment("shop"), Script("lua")),)
    )
    assert hosts(structs.replace(VIEW, enforced=enforced), LARGE) == set()


@pytest.mark.envoy
def test_envoy_accepts_it(tmp_path: Path) -> None:
    validate(l7.composed(sidecar.documents(VIEW, LARGE)), tmp_path)
