"""Secrets by SDS name: shown without keys, served with them."""

from __future__ import annotations

import base64

from kit import documents as d
from kit import worlds
from kit.pki import Authority
from plait.app.certificates import served, shown

AUTHORITY = Authority()
LEAF = AUTHORITY.issue("spiffe://cluster.local/ns/shop/sa/edge")
CHAIN, KEY, ROOT = LEAF.certificate.decode(), LEAF.key.decode(), AUTHORITY.root.decode()


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


OBJECTS = worlds.objects(
    d.document(
        "v1", "Secret", "cert", data={"tls.crt": encoded(CHAIN), "tls.key": encoded(KEY), "ca.crt": encoded(ROOT)}
    ),
    d.document("v1", "Secret", "plain", stringData={"tls.crt": CHAIN + KEY, "tls.key": KEY}),
    d.document("v1", "Secret", "clients-cacert", data={"cacert": encoded(ROOT)}),
    d.document("v1", "Secret", "broken", data={"tls.crt": "%%%"}),
    d.document("v1", "ConfigMap", "roots", data={"ca.crt": ROOT}),
)


def test_a_chain_is_shown_without_its_key() -> None:
    for name in ("cert", "plain"):
        found = shown(f"kubernetes://shop/{name}", OBJECTS)
        chain = found["tls_certificate"].pop("certificate_chain")["inline_string"]
        assert CHAIN.strip() in chain and "PRIVATE KEY" not in str(found) + chain
        assert found == {"name": f"kubernetes://shop/{name}", "tls_certificate": {}}


def test_roots_are_those_of_the_same_secret_of_their_own_or_of_a_config_map() -> None:
    for name in ("kubernetes://shop/cert-cacert", "kubernetes://shop/clients-cacert", "configmap://shop/roots-cacert"):
        assert ROOT.strip() in shown(name, OBJECTS)["validation_context"]["trusted_ca"]["inline_string"], name


def test_what_the_manifests_do_not_hold_is_a_name() -> None:
    for name in (
        "default",
        "ROOTCA",
        "kubernetes://shop/none",
        "configmap://shop/none-cacert",
        "kubernetes://shop/broken",
    ):
        assert shown(name, OBJECTS) == {"name": name}


def test_a_pair_is_served_whole_or_not_at_all() -> None:
    pair = served("kubernetes://shop/cert", OBJECTS)
    assert pair is not None
    assert pair["tls_certificate"]["private_key"]["inline_string"] == KEY
    assert pair["tls_certificate"]["certificate_chain"]["inline_string"] == CHAIN
    for name in ("broken", "none", "clients-cacert"):
        assert (served(f"kubernetes://shop/{name}", OBJECTS) is not None) == (name == "clients-cacert"), name
    assert served("default", OBJECTS) is None
