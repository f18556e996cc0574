from __future__ import annotations

import re

from plait.envoy.l7 import chains


def test_a_caller_is_of_the_namespace_that_his_identity_names_whatever_the_trust_domain() -> None:
    found = chains.by_caller("who", [("a.b", chains.chain("own"))], chains.chain("rest"))
    (one,) = found["matcher_list"]["matchers"]
    predicate = one["predicate"]["single_predicate"]
    assert predicate["input"]["typed_config"]["key"] == "who"
    regex = predicate["value_match"]["safe_regex"]["regex"]
    assert re.fullmatch(regex, "spiffe://td/ns/a.b/sa/x") and re.fullmatch(regex, "spiffe://td2/ns/a.b/sa/y")
    for other in ("spiffe://td/ns/a.bc/sa/x", "spiffe://td/ns/axb/sa/x", "spiffe://td/ns/z/sa/ns/a.b/sa/x", ""):
        assert re.fullmatch(regex, other) is None
    assert (one["on_match"], found["on_no_match"]) == (chains.chain("own"), chains.chain("rest"))
