from __future__ import annotations

import pytest

from plait.model.compile import rule_values
from plait.model.policies import Text

DOMAINS = ("new-td", "old-td", "other")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("old-td/ns/a/sa/b", ["new-td/ns/a/sa/b", "old-td/ns/a/sa/b", "other/ns/a/sa/b"]),
        ("cluster.local/ns/a/sa/*", ["new-td/ns/a/sa/*", "old-td/ns/a/sa/*", "other/ns/a/sa/*"]),
        ("*-td/ns/a/sa/b", ["*-td/ns/a/sa/b", "other/ns/a/sa/b"]),
        ("old*/ns/a/sa/b", ["new-td/ns/a/sa/b", "old-td/ns/a/sa/b", "other/ns/a/sa/b"]),
        ("strange/ns/a/sa/b", ["strange/ns/a/sa/b"]),
        ("*/ns/a/sa/b", ["*/ns/a/sa/b"]),
        ("old-td/ns/a/*", ["old-td/ns/a/*"]),
        ("*", ["*"]),
    ],
)
def test_an_identity_of_the_mesh_is_meant_in_all_its_trust_domains(written: str, meant: list[str]) -> None:
    assert list(rule_values.principals([written], DOMAINS)) == meant


def test_a_trust_domain_of_the_mesh_stands_for_all_of_them() -> None:
    assert rule_values.trust_domains(["old-td", "else", "*-td"], DOMAINS) == (*DOMAINS, "else", "*-td")


def test_of_two_stars_the_first_counts() -> None:
    assert rule_values.texts(["*a*", "a*", "*"]) == (Text("suffix", "a*"), Text("prefix", "a"), Text("presence"))
