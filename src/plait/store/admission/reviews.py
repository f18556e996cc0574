"""Which admission webhooks want to see a request, what are they asked, and what does their answer mean?

Pure: matching, AdmissionReview documents, verdicts. Who calls them in which order is `gate`'s business, how a call
travels is `webhooks`'.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from plait.resources.kinds import Kind
from plait.store import discovery, errors
from plait.store.api import ApiError, Document
from plait.store.expressions import ExpressionError, evaluate
from plait.store.patch import PatchError, json_patch
from plait.store.selectors import of_document

MUTATING, VALIDATING = "mutatingwebhookconfigurations", "validatingwebhookconfigurations"
_GROUP = "admissionregistration.k8s.io"
_EXEMPT = (MUTATING, VALIDATING, "validatingadmissionpolicies", "validatingadmissionpolicybindings")
_REVIEW_VERSIONS = ("v1", "v1beta1")
_WITHOUT_EFFECTS = ("None", "NoneOnDryRun")
_OPTIONS = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}


@dataclass(frozen=True, slots=True)
class Request:
    """One write on its way. `labels` are those of its namespace; None for cluster-scoped objects."""

    kind: Kind
    version: str
    operation: str
    namespace: str
    name: str
    subresource: str
    user: Document
    dry_run: bool
    manager: str
    new: Document | None
    old: Document | None
    labels: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Hook:
    """One entry of `webhooks` in a configuration, with what its schema defaults filled in."""

    configuration: str
    document: Document

    @property
    def name(self) -> str:
        return str(self.document["name"])

    @property
    def key(self) -> tuple[str, str]:
        return self.configuration, self.name

    @property
    def ignores_failure(self) -> bool:
        return bool(self.document.get("failurePolicy", "Fail") == "Ignore")

    @property
    def reinvoked(self) -> bool:
        return bool(self.document.get("reinvocationPolicy", "Never") == "IfNeeded")

    @property
    def timeout(self) -> int:
        return int(self.document.get("timeoutSeconds") or 10)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a webhook answered. `patch` is a decoded JSON patch; `refusal` is set when it denied."""

    refusal: ApiError | None = None
    patch: list[Any] = field(default_factory=list)
    warnings: tuple[str, ...] = ()


class HookFailed(Exception):
    """The webhook could not be asked or its answer cannot be used: failurePolicy decides what happens."""


def hooks(configurations: Iterable[Document]) -> list[Hook]:
    """In the order they are called: by configuration name, then as listed."""
    ordered = sorted(configurations, key=lambda each: str(each["metadata"]["name"]))
    return [Hook(each["metadata"]["name"], hook) for each in ordered for hook in each.get("webhooks") or ()]


def exempt(kind: Kind) -> bool:
    """Webhooks never see changes to what configures admission: a broken one must stay removable."""
    return kind.group == _GROUP and kind.plural in _EXEMPT


def matches(hook: Hook, request: Request) -> str | None:
    """The version at which the webhook sees this request, or None. Raises ApiError or HookFailed (matchConditions)."""
    version = _version(hook.document, request)
    if version is None or not _namespace_selected(hook.document, request) or not _object_selected(hook, request):
        return None
    return version if _conditions_hold(hook, request, version) else None


def _version(document: Document, request: Request) -> str | None:
    wanted = [request.version]
    if document.get("matchPolicy", "Equivalent") == "Equivalent":
        wanted += [version for version in request.kind.versions if version != request.version]
    rules = document.get("rules") or ()
    return next((version for version in wanted if any(_rule(rule, request, version) for rule in rules)), None)


def _rule(rule: Document, request: Request, version: str) -> bool:
    def has(key: str, value: str) -> bool:
        listed = rule.get(key) or ()
        return "*" in listed or value in listed

    scope = rule.get("scope") or "*"
    in_scope = scope == "*" or scope == ("Namespaced" if request.kind.namespaced else "Cluster")
    return (
        in_scope
        and has("operations", request.operation)
        and has("apiGroups", request.kind.group)
        and has("apiVersions", version)
        and any(_resource(each, request.kind.plural, request.subresource) for each in rule.get("resources") or ())
    )


def _resource(rule: str, plural: str, subresource: str) -> bool:
    """`pods`, `pods/status`, `pods/*`, `*/status`, `*` (everything but subresources), `*/*` (everything)."""
    wanted, slash, sub = rule.partition("/")
    if rule == "*/*" or (wanted in ("*", plural) and sub == "*"):
        return True
    return wanted in ("*", plural) and sub == subresource and bool(slash) == bool(subresource)


def _namespace_selected(document: Document, request: Request) -> bool:
    selector = document.get("namespaceSelector") or {}
    return request.labels is None or of_document(selector)(request.labels)


def _object_selected(hook: Hook, request: Request) -> bool:
    selector = hook.document.get("objectSelector") or {}
    if not selector:
        return True
    test = of_document(selector)
    return any(
        test((document.get("metadata") or {}).get("labels") or {})
        for document in (request.new, request.old)
        if document is not None
    )


def _conditions_hold(hook: Hook, request: Request, version: str) -> bool:
    conditions = hook.document.get("matchConditions") or ()
    if not conditions:
        return True
    asked = body(hook, request, version, "")["request"]
    variables = {"object": asked["object"], "oldObject": asked["oldObject"], "request": asked}
    failure = ""
    for condition in conditions:
        try:
            if evaluate(condition["expression"], variables) is not True:
                return False
        except ExpressionError as error:
            failure = failure or f"match condition {condition.get('name', '')!r} of webhook {hook.name!r}: {error}"
    if not failure:
        return True
    if hook.ignores_failure:
        return False
    raise errors.forbidden(request.kind, request.name, failure)


def check_dry_run(hook: Hook, request: Request) -> None:
    """A dry run may not have effects elsewhere; failurePolicy does not change that."""
    if request.dry_run and hook.document.get("sideEffects") not in _WITHOUT_EFFECTS:
        raise errors.bad_request(f'admission webhook "{hook.name}" does not support dry run')


def body(hook: Hook, request: Request, version: str, uid: str) -> Document:
    """The AdmissionReview to send."""
    known = hook.document.get("admissionReviewVersions") or ["v1"]
    review = next((each for each in known if each in _REVIEW_VERSIONS), None)
    if review is None:
        raise HookFailed(f"it accepts none of {', '.join(_REVIEW_VERSIONS)} (admissionReviewVersions: {known})")
    kind = request.kind
    options: Document = {"kind": _OPTIONS.get(request.operation, "CreateOptions"), "apiVersion": "meta.k8s.io/v1"}
    if request.dry_run:
        options["dryRun"] = ["All"]
    if request.operation != "DELETE" and request.manager:
        options["fieldManager"] = request.manager
    asked: Document = {
        "uid": uid,
        "kind": _shown_kind(request, version),
        "resource": {"group": kind.group, "version": version, "resource": kind.plural},
        "requestKind": _shown_kind(request, request.version),
        "requestResource": {"group": kind.group, "version": request.version, "resource": kind.plural},
        "name": request.name,
        "operation": request.operation,
        "userInfo": request.user,
        "object": _at(request, request.new, version),
        "oldObject": _at(request, request.old, version),
        "dryRun": request.dry_run,
        "options": options,
    }
    if request.subresource:
        asked |= {"subResource": request.subresource, "requestSubResource": request.subresource}
    if request.namespace:
        asked["namespace"] = request.namespace
    return {"kind": "AdmissionReview", "apiVersion": f"admission.k8s.io/{review}", "request": asked}


def _shown_kind(request: Request, version: str) -> Document:
    if request.subresource:
        _, shown, group, body_version = discovery.subresource(request.subresource)
        if shown:
            return {"group": group, "version": body_version, "kind": shown}
    return {"group": request.kind.group, "version": version, "kind": request.kind.kind}


def _at(request: Request, document: Document | None, version: str) -> Document | None:
    """At the version the webhook asked for; bodies of subresources (Scale, Binding) have their own."""
    if document is None or document.get("kind") != request.kind.kind:
        return document
    return {**document, "apiVersion": request.kind.api_version(version)}


def verdict(hook: Hook, answer: Any, uid: str, *, mutating: bool) -> Verdict:
    """What the answered AdmissionReview says. HookFailed when it says nothing usable."""
    if not isinstance(answer, dict) or answer.get("kind") != "AdmissionReview":
        raise HookFailed('expected webhook response of kind "AdmissionReview"')
    response = answer.get("response")
    if not isinstance(response, dict):
        raise HookFailed("webhook response was absent")
    if response.get("uid") != uid:
        raise HookFailed(f"expected response.uid={uid!r}, got {response.get('uid')!r}")
    listed = response.get("warnings") or ()
    warnings = tuple(" ".join(each.split()) for each in listed if isinstance(each, str))
    if response.get("allowed") is not True:
        return Verdict(_denied(hook, response.get("status") or response.get("result")), [], warnings)
    if not response.get("patch"):
        return Verdict(None, [], warnings)
    if not mutating:
        raise HookFailed("a validating webhook may not patch")
    if response.get("patchType") != "JSONPatch":
        raise HookFailed(f'response.patchType must be "JSONPatch", got {response.get("patchType")!r}')
    return Verdict(None, _decoded(response["patch"]), warnings)


def _decoded(text: Any) -> list[Any]:
    try:
        patch = orjson.loads(base64.b64decode(text, validate=True))
    except (TypeError, ValueError, binascii.Error) as error:
        raise HookFailed(f"response.patch is not base64 of JSON: {error}") from error
    if not isinstance(patch, list):
        raise HookFailed("response.patch is not a list of JSON patch operations")
    return patch


def _denied(hook: Hook, status: Any) -> ApiError:
    status = status if isinstance(status, dict) else {}
    code, reason = status.get("code"), str(status.get("reason") or "")
    text = f'admission webhook "{hook.name}" denied the request'
    why = status.get("message") or reason
    text += f": {why}" if why else " without explanation"
    details = status.get("details") if isinstance(status.get("details"), dict) else None
    return ApiError(code if isinstance(code, int) and 400 <= code <= 599 else 400, reason, text, details)


def patched(hook: Hook, request: Request, version: str, operations: list[Any]) -> Request:
    """The request with the webhook's patch applied, at the version it came in."""
    if request.new is None:
        raise HookFailed("a request to delete has no object to patch")
    seen = _at(request, request.new, version)
    try:
        changed = json_patch(seen or {}, operations)
    except PatchError as error:
        raise HookFailed(f"its patch does not fit: {error.message}") from error
    meta, before = changed.get("metadata"), request.new.get("metadata") or {}
    for key in ("name", "namespace"):
        if not isinstance(meta, dict) or meta.get(key) != before.get(key):
            raise HookFailed(f"its patch changes metadata.{key}, which is decided before admission")
    identity: Document = {key: request.new[key] for key in ("apiVersion", "kind") if key in request.new}
    return replace(request, new={**changed, **identity})


def failed(hook: Hook, error: HookFailed) -> ApiError:
    """The refusal under failurePolicy Fail."""
    return ApiError(500, "InternalError", f'Internal error occurred: failed calling webhook "{hook.name}": {error}')
