from __future__ import annotations

from typing import Any

from kit import documents as d
from kit.evidence import codes, istio, said
from plait.diagnose.deprecated import fields, providers


def delayed(**delay: Any) -> d.Document:
    rule = {"fault": {"delay": delay}, "route": [{"destination": {"host": "web"}}]}
    return istio("VirtualService", "v", hosts=["web"], http=[rule])


def test_fields_with_a_successor_are_told() -> None:
    path = "spec.http[0].fault.delay.percent"
    assert said(fields, delayed(percent=50, fixedDelay="1s")) == [("IST0002", "v", path)]
    assert codes(fields, delayed(percentage={"value": 50}, fixedDelay="1s")) == []
    proxied = {"mode": "ALLOW_ANY", "egressProxy": {"host": "edge.shop.svc.cluster.local", "port": {"number": 80}}}
    assert said(fields, istio("Sidecar", "s", outboundTrafficPolicy=proxied)) == [
        ("IST0002", "s", "spec.outboundTrafficPolicy.egressProxy")
    ]
    assert codes(fields, istio("Sidecar", "s", outboundTrafficPolicy={"mode": "ALLOW_ANY"})) == []


def test_a_provider_of_a_type_that_is_gone_is_told() -> None:
    telemetry = d.document(
        "telemetry.istio.io/v1", "Telemetry", "t", spec={"tracing": [{"providers": [{"name": "l"}]}]}
    )
    mesh = "extensionProviders: [{name: l, lightstep: {service: l.shop, port: 443, accessToken: a}}]"
    config = {**d.document("v1", "ConfigMap", "istio", "istio-system"), "data": {"mesh": mesh}}
    assert said(providers, telemetry, config) == [("IST0002", "t", "spec.tracing[0].providers[0].name")]
    assert codes(providers, telemetry) == []
