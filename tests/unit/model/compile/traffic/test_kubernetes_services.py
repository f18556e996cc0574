"""Which protocol a port of a Service speaks, by what its author says of it."""

from __future__ import annotations

import pytest

from kit import documents as d
from kit import worlds
from plait.model.compile import compile
from plait.model.compile.traffic.kubernetes_services import protocol


@pytest.mark.parametrize(
    ("name", "application", "wanted"),
    [
        ("http", None, "http"),
        ("http-admin", None, "http"),
        ("grpc-web", None, "grpc-web"),
        ("grpc-web-front", None, "grpc-web"),
        ("grpc-api", None, "grpc"),
        ("redis", None, "redis"),
        ("tcp-redis", None, "tcp"),
        ("mail", None, "auto"),
        ("http", "kubernetes.io/h2c", "http2"),
        ("http", "thrift", "thrift"),
        ("http", "example.com/own", "auto"),
    ],
)
def test_the_word_before_the_dash_speaks_and_app_protocol_wins(name: str, application: str | None, wanted: str) -> None:
    assert protocol(name, application) == wanted


@pytest.mark.parametrize(
    ("port", "name", "wanted"),
    [(25, "mail", "tcp"), (3306, "db", "tcp"), (27017, "db", "mongo"), (6379, "", "tcp"), (25, "http", "http")],
)
def test_ports_whose_servers_speak_first_are_known_when_nobody_says_more(port: int, name: str, wanted: str) -> None:
    document = d.service("web", "10.9.0.1", spec={"ports": [{"name": name, "port": port, "protocol": "TCP"}]})
    (found,) = compile(worlds.objects(document))[0].l7.services.values()
    assert [each.protocol for each in found.ports] == [wanted]
