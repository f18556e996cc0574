from __future__ import annotations

from kit import documents as d
from kit.evidence import codes, namespace, said
from plait.diagnose.authorization import unknown_namespaces


def trusting(*names: str, field: str = "namespaces") -> d.Document:
    return d.allow("open", [{"from": [{"source": {"principals": ["*"]}}, {"source": {field: list(names)}}]}])


def test_source_namespaces_that_are_not_there_are_told() -> None:
    world = namespace("shop-test")
    path = "spec.rules[0].from[1].source"
    assert said(unknown_namespaces, world, trusting("shop-test", "gone")) == [
        ("IST0101", "open", f"{path}.namespaces[1]")
    ]
    assert said(unknown_namespaces, world, trusting("gone", field="notNamespaces")) == [
        ("IST0101", "open", f"{path}.notNamespaces[0]")
    ]
    assert codes(unknown_namespaces, world, trusting("shop-*", "*-test", "*")) == []
    assert codes(unknown_namespaces, world, trusting("prod-*", "*-prod")) == ["IST0101"] * 2
