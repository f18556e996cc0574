from __future__ import annotations

import time

from kit import pki
from plait.diagnose.secrets import unusable
from plait.resources.kubernetes import Secret
from plait.resources.meta import ObjectMeta


def secret(leaf: pki.Leaf) -> Secret:
    data = {"tls.crt": leaf.certificate.decode(), "tls.key": leaf.key.decode()}
    return Secret(meta=ObjectMeta(name="cert", namespace="shop"), string_data=data)


def test_a_certificate_has_its_time() -> None:
    held, now, long = secret(pki.Authority().issue("https://a.example")), time.time(), 3600 * 24 * 365 * 30
    assert unusable(held, now) == unusable(held, None) == ""
    assert "expired on" in unusable(held, now + long)
    assert "not valid before" in unusable(held, now - long)


def test_what_is_no_certificate_is_said_first() -> None:
    assert "lacks tls.crt" in unusable(secret(pki.Leaf(b"", b"")), time.time())
