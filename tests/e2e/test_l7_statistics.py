"""The page of a real Envoy: its statistics have Istio's labels, and answers of its own say whom they do not know."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator

import pytest

from kit import l7, pages
from kit.envoys import until
from kit.l7 import forward, route, upstream, virtual
from kit.loopback import backend, envoy, free_port
from kit.pages import Page
from plait.envoy.l7 import statistics
from plait.envoy.l7.options import Options
from plait.envoy.roles import gateway
from plait.model.routes import Respond
from plait.model.views.gateway import GatewayView, HttpChain, ServerPort

pytestmark = [pytest.mark.e2e, pytest.mark.envoy]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """After a request that a backend answered, and one that the proxy answered itself."""
    directory, port = tmp_path_factory.mktemp("statistics"), free_port()
    admin = directory / "admin.sock"
    with backend("web") as target:
        routes = (route("/gone", Respond(410, b"gone")), route("/", forward("web")))
        chain = HttpChain((), (virtual("shop", *routes),), name="http.80")
        ports, found = (
            (ServerPort(port, "127.0.0.1", "HTTP", (chain,)),),
            (upstream("web", "127.0.0.1", target=target),),
        )
        view = GatewayView(l7.proxy("gateway"), l7.SETTINGS, ports, found, l7.ENFORCED)
        text = Options(access_log=str(directory / "access.log"))
        document = l7.composed(gateway.documents(view, text), run=True, admin=str(admin))
        with envoy({**document, "stats_config": statistics.config()}, port, directory):
            for path, status in (("/gone", 410), ("/", 200)):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                connection.request("GET", path)
                assert connection.getresponse().status == status
                connection.close()

            until(lambda: len(pages.page(admin).series("istio_requests_total")) == 2, "both requests are counted", 10)
            yield pages.page(admin)


def test_a_cluster_is_named_in_full(page: Page) -> None:
    name = f"outbound|80||{l7.host('web')}"
    assert page.series("envoy_cluster_upstream_cx_total") == [
        {"cluster_name": each} for each in ("BlackHoleCluster", "PassthroughCluster", "connect_originate", name)
    ]
    answered = page.series("envoy_cluster_upstream_rq", cluster_name=name)
    assert {"response_code": "200", "cluster_name": name} in answered
    assert {"response_code_class": "2xx", "cluster_name": name} in answered


def test_a_connection_manager_is_named_in_full(page: Page) -> None:
    names = {each["http_conn_manager_prefix"] for each in page.series("envoy_http_downstream_rq_total")}
    (own,) = (each for each in names if each.startswith("outbound_0.0.0.0_"))
    classes = page.series("envoy_http_downstream_rq", http_conn_manager_prefix=own)
    assert {each["response_code_class"] for each in classes} == {"1xx", "2xx", "3xx", "4xx", "5xx"}
    (listener,) = page.series("envoy_listener_downstream_cx_total", listener_address=f"gateway_{own.split('_')[-1]}")
    assert set(listener) == {"listener_address"}


def test_no_host_name_is_part_of_a_metrics_name(page: Page) -> None:
    assert not re.findall(r"^envoy_\w*svc_cluster_local\w*|^envoy_\w+_0_0_0_\w+", page.text, re.MULTILINE)


def test_an_answer_of_the_proxys_own_has_an_unknown_destination(page: Page) -> None:
    (own,) = page.series("istio_requests_total", response_code="410")
    told = {name: value for name, value in own.items() if name.startswith("destination_")}
    assert set(told.values()) == {"unknown"} and len(told) == 11
    assert own["source_workload"] == "edge" and own["connection_security_policy"] == "unknown"
    (passed,) = page.series("istio_requests_total", response_code="200")
    assert passed["destination_workload"] == "web" and passed["destination_service"] == l7.host("web")
