"""Label and field selectors."""

from __future__ import annotations

import pytest

from plait.resources import kinds
from plait.store import selectors
from plait.store.api import ApiError

LABELS = {"app": "web", "tier": "front", "n": "5"}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("", True),
        ("app=web", True),
        ("app==web,tier=front", True),
        ("app!=web", False),
        ("missing!=web", True),
        ("app in (api, web)", True),
        ("app notin (api,web)", False),
        ("missing notin (a)", True),
        ("app", True),
        ("!app", False),
        ("!missing,app", True),
        ("missing=", False),
        ("n>4", True),
        ("n<4", False),
        ("app in (web),!x,tier!=back", True),
    ],
)
def test_label_grammar(text: str, selected: bool) -> None:
    assert selectors.labels(text)(LABELS) is selected


@pytest.mark.parametrize("text", ["app in web", "=x", "a b", "app=web tier=front", "a>b", "(", "!", "a in (x"])
def test_a_broken_label_selector_is_a_400_that_quotes_it(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        selectors.labels(text)
    assert caught.value.code == 400
    assert text[:1] in str(caught.value)


def test_field_selectors_know_the_fields_of_their_kind() -> None:
    pod = {"metadata": {"name": "p"}, "spec": {"nodeName": "n1", "hostNetwork": True}, "status": {"phase": "Running"}}
    assert selectors.fields(kinds.POD, "spec.nodeName=n1,status.phase!=Failed")(pod)
    assert not selectors.fields(kinds.POD, "spec.nodeName=")(pod)
    assert selectors.fields(kinds.POD, "spec.hostNetwork=true")(pod)
    with pytest.raises(ApiError, match=r"spec\.nodeName"):
        selectors.fields(kinds.SECRET, "spec.nodeName=n1")


def test_an_absent_selector_object_selects_nothing_and_an_empty_one_everything() -> None:
    assert not selectors.of_document(None)(LABELS)
    assert selectors.of_document({})(LABELS)
    expressions = [{"key": "app", "operator": "In", "values": ["web"]}, {"key": "x", "operator": "DoesNotExist"}]
    assert selectors.of_document({"matchExpressions": expressions})(LABELS)
