from __future__ import annotations

import pytest

from plait.model.http_security import Condition, HttpRule, Operation, Source, token_parts
from plait.model.policies import Range, Text

ANY = Text("presence")


@pytest.mark.parametrize(
    ("test", "issuer", "subject"),
    [
        (ANY, ANY, ANY),
        (Text("exact", "https://a/me"), Text("exact", "https://a"), Text("exact", "me")),
        (Text("prefix", "https://a/"), Text("exact", "https://a"), ANY),
        (Text("prefix", "https://a/m"), Text("exact", "https://a"), Text("prefix", "m")),
        (Text("prefix", "a"), Text("prefix", "a"), ANY),
        (Text("suffix", "/me"), ANY, Text("exact", "me")),
        (Text("suffix", ".example/me"), Text("suffix", ".example"), Text("exact", "me")),
        (Text("suffix", "me"), ANY, Text("suffix", "me")),
    ],
)
def test_a_request_principal_asks_issuer_and_subject_each_for_itself(test: Text, issuer: Text, subject: Text) -> None:
    assert token_parts(test) == (issuer, subject)


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        (HttpRule(sources=(Source(remote_ips=(Range("10.0.0.0", 8),)),)), False),
        (HttpRule(sources=(Source(not_request_principals=(ANY,)),)), True),
        (HttpRule(operations=(Operation(ports=(80,)),)), False),
        (HttpRule(operations=(Operation(not_hosts=(ANY,)),)), True),
        (HttpRule(conditions=(Condition("remote.ip", ranges=(Range("10.0.0.0", 8),)),)), False),
        (HttpRule(conditions=(Condition("sni", texts=(ANY,)),)), False),
        (HttpRule(conditions=(Condition("header.item", "x", texts=(ANY,)),)), True),
        (HttpRule(conditions=(Condition("filter", "envoy.filters.network.mongo_proxy", ("a",)),)), False),
        (HttpRule(conditions=(Condition("filter", "envoy.filters.http.x", ("a",)),)), True),
    ],
)
def test_of_a_connection_everything_can_be_checked_but_what_requests_have(rule: HttpRule, wanted: bool) -> None:
    assert rule.of_requests is wanted
