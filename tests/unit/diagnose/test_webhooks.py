from __future__ import annotations

from kit import documents as d
from kit.evidence import codes, said
from plait.diagnose.webhooks import missing_service


def webhook(**client: object) -> d.Document:
    document = d.document("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "w", "")
    return {**document, "webhooks": [{"name": "a.b.c", "clientConfig": client}]}


def test_a_webhook_that_calls_nobody_is_told() -> None:
    gone = {"namespace": "shop", "name": "gone"}
    assert said(missing_service, webhook(service=gone)) == [("IST0139", "w", "webhooks[0].clientConfig.service")]


def test_one_that_calls_a_service_or_an_address_is_not() -> None:
    there = {"namespace": "shop", "name": "web"}
    assert codes(missing_service, d.service("web", "10.96.0.1"), webhook(service=there)) == []
    assert codes(missing_service, webhook(url="https://a.example")) == []
