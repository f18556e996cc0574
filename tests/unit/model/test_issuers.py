"""What an issuer's name and its configuration lead to."""

from __future__ import annotations

import pytest

from plait.model.issuers import configuration, jwks_uri

PATH = "/.well-known/openid-configuration"


@pytest.mark.parametrize(
    ("issuer", "asked"),
    [
        ("https://accounts.example", f"https://accounts.example{PATH}"),
        ("https://accounts.example/realms/a/", f"https://accounts.example/realms/a{PATH}"),
        ("http://issuer.shop:8080", f"http://issuer.shop:8080{PATH}"),
        ("accounts.example", ""),
        ("file:///etc/passwd", ""),
        ("https://a b", ""),
        ("https://a\n.example", ""),
        ("https://a:99999", ""),
        ("https://" + "a" * 3000, ""),
    ],
)
def test_where_an_issuer_is_asked(issuer: str, asked: str) -> None:
    assert configuration(issuer) == asked


def test_a_configuration_names_the_place_of_keys() -> None:
    assert jwks_uri(b'{"issuer": "x", "jwks_uri": "https://keys.example/jwks"}') == "https://keys.example/jwks"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"<html>", "no configuration"),
        (b"[" * 100_000, "no configuration"),
        (b'["jwks_uri"]', "no configuration"),
        (b'{"jwks_uri": 7}', "no configuration"),
        (b'{"jwks_uri": "ftp://keys.example"}', "no http"),
    ],
)
def test_what_is_no_configuration_is_said_in_words(document: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        jwks_uri(document)
