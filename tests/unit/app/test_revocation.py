"""The list of revoked identities: what counts, what is left out, and the policy it becomes."""

from __future__ import annotations

from plait.app.revocation import identities, policies
from plait.model.decision import Flow, decide

THIEF, HONEST = "spiffe://cluster.local/ns/duo/sa/thief", "spiffe://cluster.local/ns/duo/sa/client"


def test_lines_of_all_values_count_and_what_is_no_identity_is_left_out() -> None:
    data = {"laptops": f"{THIEF}  # lost\n\n# nobody\n", "more": "spiffe://x\nns/duo/sa/a\n"}
    assert identities({"data": data}) == {THIEF}
    assert identities(None) == frozenset() and policies(frozenset(), "istio-system") == {}


def test_the_revoked_one_is_denied_and_others_are_not() -> None:
    made = tuple(policies(frozenset({THIEF}), "istio-system").values())
    assert not decide(made, Flow(THIEF, "10.0.0.1", "10.0.0.2", 80)).allowed
    assert decide(made, Flow(HONEST, "10.0.0.1", "10.0.0.2", 80)).allowed
