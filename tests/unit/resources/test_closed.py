"""A security object nobody can read: its last readable state, else the strictest, never nothing."""

from __future__ import annotations

from typing import Any

import pytest

from kit import documents as d
from plait.resources.closed import in_effect
from plait.resources.decode import decode
from plait.resources.security import AuthorizationPolicy, PeerAuthentication

NEWER = [{"to": [{"operation": {"colours": ["red"]}}]}]


def policy(**spec: Any) -> d.Document:
    return d.document(
        "security.istio.io/v1", "AuthorizationPolicy", "p", spec={"action": "ALLOW", "rules": NEWER, **spec}
    )


def closed(document: d.Document) -> AuthorizationPolicy:
    found, problems = in_effect(document, None)
    assert isinstance(found, AuthorizationPolicy)
    assert [(p.code, p.severity) for p in problems] == [("PLT0013", "error")]
    assert (found.spec.action, len(found.spec.rules or ())) == ("DENY", 1)
    return found


def test_the_last_readable_state_stays() -> None:
    before, _ = decode(d.allow("p", []))
    found, problems = in_effect(policy(), before)
    assert found is before
    assert "last readable state" in problems[0].message


def test_one_that_never_was_readable_refuses_what_it_binds() -> None:
    selector = closed(policy(selector={"matchLabels": {"app": "web"}})).spec.selector
    assert selector is not None and selector.match_labels == {"app": "web"}
    refs = closed(policy(targetRefs=[{"kind": "Service", "group": "", "name": "web"}])).spec.target_refs
    assert [ref.name for ref in refs] == ["web"]


@pytest.mark.parametrize("broken", [{"selector": 7}, {"targetRefs": "web"}])
def test_where_even_that_cannot_be_read_the_namespace_is_closed(broken: d.Document) -> None:
    spec = closed(policy(**broken)).spec
    assert (spec.selector, spec.target_refs) == (None, ())
    assert closed({**policy(), "spec": "gone"}).namespace == "shop"


def test_a_dry_run_refuses_nobody_still() -> None:
    written = policy()
    written["metadata"]["annotations"] = {"istio.io/dry-run": "true"}
    assert closed(written).meta.annotations == {"istio.io/dry-run": "true"}
    written["metadata"]["annotations"] = "broken"
    assert closed(written).meta.annotations == {}


def test_peers_must_show_a_certificate_when_nobody_knows_what_was_demanded() -> None:
    found, _ = in_effect(d.peers("p", "SOMETIMES"), None)
    assert isinstance(found, PeerAuthentication) and found.spec.mtls is not None
    assert found.spec.mtls.mode == "STRICT"


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (policy(action="AUDIT"), 1),
        (d.document("security.istio.io/v1", "RequestAuthentication", "p", spec={"jwtRules": 7}), 1),
        (d.document("networking.istio.io/v1", "VirtualService", "p", spec={"hosts": 7}), 0),
        ({"kind": "Nobody"}, 0),
    ],
    ids=["audit", "tokens", "routes", "unknown"],
)
def test_what_lets_nobody_in_by_its_absence_is_dropped(document: d.Document, told: int) -> None:
    found, problems = in_effect(document, None)
    assert (found, len(problems)) == (None, told)
