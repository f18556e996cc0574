"""Which key sets have a key that a proxy can use, and what is said of the others."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from plait.model.compile.traffic.key_sets import refused


def coded(value: int | bytes, *, padded: bool = False) -> str:
    raw = value if isinstance(value, bytes) else value.to_bytes((value.bit_length() + 7) // 8, "big")
    text = urlsafe_b64encode(raw).decode()
    return text if padded else text.rstrip("=")


N = rsa.generate_private_key(65537, 2048).public_key().public_numbers()
P = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
ED = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
RSA = {"kty": "RSA", "n": coded(N.n), "e": coded(N.e)}
EC = {"kty": "EC", "crv": "P-256", "x": coded(P.x), "y": coded(P.y)}
OKP = {"kty": "OKP", "crv": "Ed25519", "x": coded(ED)}
OCT = {"kty": "oct", "k": coded(b"secret")}


def of(*keys: Any) -> str:
    return json.dumps({"keys": keys})


@pytest.mark.parametrize(
    "key",
    [RSA, {**RSA, "n": coded(N.n, padded=True), "alg": "PS256", "kid": "a"}, EC, {**EC, "alg": "ES256"}, OKP, OCT],
)
def test_a_key_of_each_kind_is_enough_beside_bad_ones(key: dict[str, str]) -> None:
    assert refused(of(key)) == ""
    assert refused(of({"kty": "RSA"}, key)) == ""


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "RSA", "n": "!!", "e": "AQAB"},
        {**RSA, "n": coded(N.n)[:40] + "+" + coded(N.n)[41:]},
        {**RSA, "alg": "HS256"},
        {**EC, "crv": "P-999"},
        {**EC, "y": coded(P.y ^ 1)},
        {**EC, "alg": "ES384"},
        {**OKP, "crv": "X25519"},
        {**OKP, "x": "AAAA"},
        {**OCT, "k": ""},
        {"kty": "other"},
        {},
        "key",
        None,
    ],
)
def test_a_set_without_a_key_that_can_be_used_is_refused(key: Any) -> None:
    assert refused(of(key)) == "no key in it can be used"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"keys": 1}', "-----BEGIN PUBLIC KEY-----"])
def test_what_is_no_set_is_said_to_be_none(text: str) -> None:
    assert refused(text) == "this is no JSON Web Key Set"
