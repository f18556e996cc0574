from __future__ import annotations

from typing import Any

from kit import documents as d
from kit.evidence import codes, said
from plait.diagnose.telemetries import without_provider


def tracing(**one: Any) -> d.Document:
    return d.document("telemetry.istio.io/v1", "Telemetry", "t", spec={"tracing": [one]})


def configured() -> d.Document:
    mesh = "extensionProviders: [{name: z, zipkin: {service: z.shop, port: 9411}}]\ndefaultProviders: {tracing: [z]}"
    return {**d.document("v1", "ConfigMap", "istio", "istio-system"), "data": {"mesh": mesh}}


def test_tracing_without_a_provider_is_told() -> None:
    assert said(without_provider, tracing(randomSamplingPercentage=10)) == [
        ("IST0157", "t", "spec.tracing[0].providers")
    ]


def logging(**one: Any) -> d.Document:
    return d.document("telemetry.istio.io/v1", "Telemetry", "t", spec={"accessLogging": [one]})


def test_access_logs_without_a_provider_are_told() -> None:
    chosen = logging(filter={"expression": "response.code >= 400"})
    assert said(without_provider, chosen) == [("IST0157", "t", "spec.accessLogging[0].providers")]
    assert (
        codes(without_provider, logging(disabled=True))
        == codes(without_provider, logging(providers=[{"name": "z"}]))
        == []
    )
    config = {
        **d.document("v1", "ConfigMap", "istio", "istio-system"),
        "data": {"mesh": "defaultProviders: {accessLogging: [z]}"},
    }
    assert codes(without_provider, chosen, config) == []


def test_with_a_provider_here_or_by_default_or_switched_off_it_is_not() -> None:
    assert codes(without_provider, tracing(providers=[{"name": "z"}])) == []
    assert codes(without_provider, tracing(), configured()) == []
    assert codes(without_provider, tracing(disableSpanReporting=True)) == []
