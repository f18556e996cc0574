"""Request authentication as Envoy's filter: in which order issuers are asked."""

from __future__ import annotations

from kit import l7
from plait.envoy.l7 import tokens
from plait.envoy.l7.context import Context
from plait.envoy.l7.options import DEFAULT
from plait.model.attachment import Attachment
from plait.model.http_security import JwtRule, RequestAuthentication


def test_of_several_issuers_the_first_by_the_alphabet_is_asked_first_whatever_object_names_it() -> None:
    def accepting(name: str, *issuers: str) -> RequestAuthentication:
        return RequestAuthentication(name, "shop", Attachment("shop"), tuple(JwtRule(each) for each in issuers))

    ctx = Context(l7.proxy("sidecar"), l7.SETTINGS, DEFAULT, {})
    (found,) = tokens.filters(ctx, [accepting("a", "https://z", "https://m"), accepting("b", "https://a")])
    asked = found["typed_config"]["rules"][0]["requires"]["requires_any"]["requirements"]
    assert asked == [*({"provider_name": f"origins-{number}"} for number in range(3)), {"allow_missing": {}}]
    providers = found["typed_config"]["providers"]
    assert [providers[each["provider_name"]]["issuer"] for each in asked[:3]] == ["https://a", "https://m", "https://z"]
