"""External authorization: by which names users find in logs and metadata what was asked, and what could not be."""

from __future__ import annotations

from typing import Any

import pytest

from kit import l7
from plait.envoy.l7 import external
from plait.envoy.l7.context import Context
from plait.envoy.l7.options import DEFAULT
from plait.model.attachment import Attachment
from plait.model.http_security import Authorizer, HttpPolicy, HttpRule

AUTHZ = l7.upstream("authz", port=9000)


def told(*policies: HttpPolicy, http: bool = True) -> tuple[list[dict[str, Any]], Context]:
    ctx = Context(l7.proxy("sidecar"), l7.SETTINGS, DEFAULT, {AUTHZ.key: AUTHZ})
    known = [Authorizer(name, "grpc", l7.host("authz"), 9000) for name in ("a", "a-b")]
    return [each["typed_config"] for each in external.custom(ctx, policies, known, "tls", http=http)], ctx


def asking(provider: str, name: str = "p", **more: Any) -> HttpPolicy:
    return HttpPolicy(name, "shop", "custom", Attachment("shop"), (HttpRule(),), provider, **more)


@pytest.mark.parametrize("http", [True, False])
def test_an_authorizer_is_asked_for_the_rules_that_bear_its_name(http: bool) -> None:
    found, _ = told(asking("a-b"), asking("a"), http=http)
    assert [(*each["shadow_rules"]["policies"],) for each in found[::2]] == [
        ("istio-ext-authz-a-b-ns[shop]-policy[p]-rule[0]",),
        ("istio-ext-authz-a-ns[shop]-policy[p]-rule[0]",),
    ]
    assert {each["shadow_rules_stat_prefix"] for each in found[::2]} == {"istio_ext_authz_"}
    when = [each["filter_enabled_metadata"] for each in found[1::2]]
    assert {each["path"][0]["key"] for each in when} == {"istio_ext_authz_shadow_effective_policy_id"}
    assert [each["value"]["string_match"]["prefix"] for each in when] == [
        "istio-ext-authz-a-b-ns[",
        "istio-ext-authz-a-ns[",
    ]


@pytest.mark.parametrize("provider", ["none", "{x}"])
def test_what_nobody_can_be_asked_about_is_denied_by_rules_that_say_so(provider: str) -> None:
    (found,), ctx = told(asking(provider, "p"), asking(provider, "q"))
    assert found["rules"]["action"] == "DENY"
    assert [*found["rules"]["policies"]] == [
        f"istio-ext-authz-{provider}-ns[shop]-policy[{name}]-rule[0]-deny-due-to-bad-CUSTOM-action" for name in "pq"
    ]
    assert [each.source for each in ctx.report.found] == [f"AuthorizationPolicy/shop/{name}" for name in "pq"]


def test_a_dry_run_asks_nobody() -> None:
    (found,), _ = told(asking("a", dry_run=True))
    assert "rules" not in found and found["shadow_rules_stat_prefix"] == "istio_dry_run_custom_a_"
