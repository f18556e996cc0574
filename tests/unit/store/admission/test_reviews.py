"""Which webhooks see a request, what they are sent, and what their answers mean."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.store.admission import reviews
from plait.store.admission.reviews import Hook, HookFailed, Request
from plait.store.api import ApiError, Document

POD: Document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"app": "web"}}, "spec": {}}
ROUTE = kinds.by_document({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"})


def rule(
    resources: str = "pods", operations: str = "CREATE", groups: str = "", versions: str = "v1", scope: str = "*"
) -> Document:
    return {
        "resources": resources.split(),
        "operations": operations.split(),
        "apiGroups": [groups],
        "apiVersions": versions.split(),
        "scope": scope,
    }


def hook(*rules: Document, **fields: Any) -> Hook:
    base = {"name": "h.example.org", "rules": list(rules or (rule(),)), "sideEffects": "None"}
    return Hook("config", base | {"admissionReviewVersions": ["v1"]} | fields)


def request(kind: Kind = kinds.POD, operation: str = "CREATE", **fields: Any) -> Request:
    base: dict[str, Any] = {
        "kind": kind,
        "version": kind.version,
        "operation": operation,
        "namespace": "default",
        "name": "p",
        "subresource": "",
        "user": {"username": "ann", "groups": ["devs"]},
        "dry_run": False,
        "manager": "kubectl",
        "new": POD,
        "old": None,
        "labels": {"env": "prod", "kubernetes.io/metadata.name": "default"},
    }
    return Request(**base | fields)


@pytest.mark.parametrize(
    ("given", "asked", "sees"),
    [
        (rule("pods"), request(), True),
        (rule("services"), request(), False),
        (rule("services pods"), request(), True),
        (rule("*"), request(), True),
        (rule("*"), request(subresource="status"), False),
        (rule("*/*"), request(subresource="status"), True),
        (rule("*/*"), request(), True),
        (rule("pods/*"), request(subresource="status"), True),
        (rule("pods/*"), request(), True),
        (rule("pods/status"), request(subresource="status"), True),
        (rule("pods/status"), request(), False),
        (rule("pods/status"), request(subresource="binding"), False),
        (rule("*/status"), request(subresource="status"), True),
        (rule("*/status"), request(), False),
        (rule("pods"), request(subresource="status"), False),
        (rule(operations="UPDATE"), request(), False),
        (rule(operations="UPDATE DELETE"), request(operation="DELETE", new=None, old=POD), True),
        (rule(operations="*"), request(operation="UPDATE", old=POD), True),
        (rule(groups="apps"), request(), False),
        (rule(groups="*"), request(), True),
        (rule(versions="*"), request(), True),
        (rule(versions="v2"), request(), False),
        (rule(scope="Namespaced"), request(), True),
        (rule(scope="Cluster"), request(), False),
        (rule("namespaces", scope="Cluster"), request(kinds.NAMESPACE), True),
        (rule("namespaces", scope="Namespaced"), request(kinds.NAMESPACE), False),
    ],
)
def test_rules_name_operation_group_version_resource_and_scope(given: Document, asked: Request, sees: bool) -> None:
    assert (reviews.matches(hook(given), asked) is not None) is sees


IN = {"matchExpressions": [{"key": "env", "operator": "In", "values": ["prod"]}]}


@pytest.mark.parametrize(
    ("fields", "asked", "sees"),
    [
        ({"namespaceSelector": {"matchLabels": {"env": "prod"}}}, request(), True),
        ({"namespaceSelector": {"matchLabels": {"env": "test"}}}, request(), False),
        ({"namespaceSelector": IN}, request(), True),
        ({"namespaceSelector": {"matchExpressions": [{"key": "env", "operator": "DoesNotExist"}]}}, request(), False),
        ({"namespaceSelector": {"matchLabels": {"env": "test"}}}, request(labels=None), True),
        ({"objectSelector": {"matchLabels": {"app": "web"}}}, request(), True),
        ({"objectSelector": {"matchLabels": {"app": "db"}}}, request(), False),
        ({"objectSelector": {"matchLabels": {"app": "web"}}}, request(operation="DELETE", new=None, old=POD), True),
        (
            {"objectSelector": {"matchLabels": {"app": "web"}}},
            request(operation="UPDATE", new={**POD, "metadata": {"name": "p"}}, old=POD),
            True,
        ),
        ({"objectSelector": {}}, request(new={**POD, "metadata": {"name": "p"}}), True),
    ],
)
def test_selectors_judge_the_namespace_and_either_object(fields: Document, asked: Request, sees: bool) -> None:
    anything = rule("*", "*")
    assert (reviews.matches(hook(anything, **fields), asked) is not None) is sees


def test_equivalent_sees_other_versions_of_a_kind_at_the_version_it_asked_for_and_exact_does_not() -> None:
    assert ROUTE is not None
    given = rule("httproutes", "CREATE", ROUTE.group, "v1beta1")
    asked = request(ROUTE, new={"apiVersion": ROUTE.api_version("v1"), "kind": "HTTPRoute", "metadata": {"name": "p"}})
    assert reviews.matches(hook(given), asked) == "v1beta1"
    assert reviews.matches(hook(given, matchPolicy="Exact"), asked) is None
    sent = reviews.body(hook(given), asked, "v1beta1", "u")["request"]
    assert sent["object"]["apiVersion"] == ROUTE.api_version("v1beta1")
    assert (sent["kind"]["version"], sent["requestKind"]["version"]) == ("v1beta1", "v1")
    changed = reviews.patched(hook(given), asked, "v1beta1", [{"op": "add", "path": "/spec", "value": {}}])
    assert changed.new == {**(asked.new or {}), "spec": {}}


@pytest.mark.parametrize(
    ("expressions", "sees"),
    [
        (["object.metadata.name == 'p'"], True),
        (["object.metadata.name == 'q'"], False),
        (["oldObject == null"], True),
        (["request.userInfo.username == 'ann' && 'devs' in request.userInfo.groups"], True),
        (["request.operation == 'CREATE'", "has(object.spec.x)"], False),
        (["object.spec.missing.x == 1", "false"], False),
    ],
)
def test_match_conditions_must_all_be_true(expressions: list[str], sees: bool) -> None:
    conditions = [{"name": str(i), "expression": text} for i, text in enumerate(expressions)]
    assert (reviews.matches(hook(matchConditions=conditions), request()) is not None) is sees


def test_a_match_condition_that_fails_skips_under_ignore_and_refuses_under_fail() -> None:
    conditions = [{"name": "odd", "expression": "object.spec.missing.x == 1"}]
    assert reviews.matches(hook(matchConditions=conditions, failurePolicy="Ignore"), request()) is None
    with pytest.raises(ApiError, match="match condition 'odd' of webhook") as caught:
        reviews.matches(hook(matchConditions=conditions, failurePolicy="Fail"), request())
    assert caught.value.code == 403


def test_hooks_are_called_in_the_order_of_their_names() -> None:
    def config(name: str, *hooks: str) -> Document:
        return {"metadata": {"name": name}, "webhooks": [{"name": each} for each in hooks]}

    found = reviews.hooks([config("b", "2", "1"), config("a", "z"), {"metadata": {"name": "c"}}])
    assert [each.key for each in found] == [("a", "z"), ("b", "2"), ("b", "1")]


def test_configurations_of_admission_are_exempt_and_nothing_else_is() -> None:
    exempt = {kind.kind for kind in kinds.ALL if reviews.exempt(kind)}
    assert {"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"} <= exempt
    assert "CustomResourceDefinition" not in exempt
    assert "Pod" not in exempt


@pytest.mark.parametrize(("effects", "allowed"), [("None", 1), ("NoneOnDryRun", 1), ("Some", 0), ("Unknown", 0)])
def test_a_dry_run_refuses_webhooks_with_side_effects(effects: str, allowed: int) -> None:
    given = hook(sideEffects=effects, failurePolicy="Ignore")
    reviews.check_dry_run(given, request())
    if allowed:
        reviews.check_dry_run(given, request(dry_run=True))
    else:
        with pytest.raises(ApiError, match="does not support dry run"):
            reviews.check_dry_run(given, request(dry_run=True))


def test_the_review_says_who_does_what_to_which_object() -> None:
    sent = reviews.body(hook(), request(operation="UPDATE", old=POD, dry_run=True), "v1", "uid-1")
    assert (sent["apiVersion"], sent["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    asked = sent["request"]
    assert asked["uid"] == "uid-1"
    assert asked["kind"] == {"group": "", "version": "v1", "kind": "Pod"}
    assert asked["resource"] == {"group": "", "version": "v1", "resource": "pods"}
    assert (asked["namespace"], asked["name"], asked["operation"]) == ("default", "p", "UPDATE")
    assert asked["userInfo"] == {"username": "ann", "groups": ["devs"]}
    assert asked["options"]["kind"] == "UpdateOptions"
    assert asked["options"]["dryRun"] == ["All"]
    assert asked["oldObject"] == POD


def test_a_scale_is_shown_as_a_scale() -> None:
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "p"}, "spec": {"replicas": 2}}
    given = request(kinds.DEPLOYMENT, "UPDATE", subresource="scale", new=scale, old=scale)
    asked = reviews.body(hook(), given, "v1", "u")["request"]
    assert asked["kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    assert asked["resource"]["resource"] == "deployments"
    assert asked["subResource"] == "scale"
    assert asked["object"] == scale


def answer(**response: Any) -> Document:
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": {"uid": "u", **response}}


def encoded(patch: Any) -> str:
    return base64.b64encode(json.dumps(patch).encode()).decode()


def test_a_refusal_names_the_webhook_and_keeps_code_reason_and_message() -> None:
    denied = answer(allowed=False, status={"message": "no", "code": 409, "reason": "Conflict"}, warnings=["a\nb"])
    found = reviews.verdict(hook(), denied, "u", mutating=True)
    assert found.refusal is not None
    assert (found.refusal.code, found.refusal.reason) == (409, "Conflict")
    assert str(found.refusal) == 'admission webhook "h.example.org" denied the request: no'
    assert found.warnings == ("a b",)
    bare = reviews.verdict(hook(), answer(allowed=False), "u", mutating=True).refusal
    assert bare is not None
    assert (bare.code, str(bare)) == (400, 'admission webhook "h.example.org" denied the request without explanation')


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        {"kind": "Pod"},
        {"kind": "AdmissionReview"},
        answer(allowed=True) | {"response": {"uid": "other", "allowed": True}},
        answer(allowed=True, patch=encoded([])),
        answer(allowed=True, patch="%%%", patchType="JSONPatch"),
        answer(allowed=True, patch=encoded({"spec": {}}), patchType="JSONPatch"),
        answer(allowed=True, patch=encoded([]), patchType="MergePatch"),
        answer(allowed=True, patch=3, patchType="JSONPatch"),
    ],
)
def test_an_unusable_answer_is_a_failed_webhook(bad: Any) -> None:
    with pytest.raises(HookFailed):
        reviews.verdict(hook(), bad, "u", mutating=True)


def test_a_validating_webhook_may_not_patch() -> None:
    patching = answer(allowed=True, patch=encoded([{"op": "remove", "path": "/spec"}]), patchType="JSONPatch")
    with pytest.raises(HookFailed, match="may not patch"):
        reviews.verdict(hook(), patching, "u", mutating=False)


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "remove", "path": "/nowhere"}],
        [{"op": "test", "path": "/kind", "value": "Service"}],
        [{"op": "replace", "path": "/metadata/name", "value": "other"}],
        [{"op": "remove", "path": "/metadata"}],
        [{"op": "replace", "path": "", "value": 3}],
        [{"op": "sing", "path": "/spec"}],
        ["add"],
    ],
)
def test_a_patch_that_does_not_fit_is_a_failed_webhook_and_changes_nothing(operations: list[Any]) -> None:
    before = json.dumps(POD)
    with pytest.raises(HookFailed):
        reviews.patched(hook(), request(), "v1", operations)
    assert json.dumps(POD) == before


def test_a_webhook_that_speaks_no_known_review_version_is_a_failed_one() -> None:
    with pytest.raises(HookFailed, match="admissionReviewVersions"):
        reviews.body(hook(admissionReviewVersions=["v7"]), request(), "v1", "u")
    sent = reviews.body(hook(admissionReviewVersions=["v7", "v1beta1"]), request(), "v1", "u")
    assert sent["apiVersion"] == "admission.k8s.io/v1beta1"
