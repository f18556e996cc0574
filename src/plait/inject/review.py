"""AdmissionReview in, AdmissionReview out: a pod's injection as the API server asks for it. Pure.

Only `admission.k8s.io/v1` is spoken. Whatever the pod holds, the answer is a review: a patch, nothing to do, or a
refusal whose message names the field and the way out.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from plait.inject.difference import difference
from plait.inject.injector import Config, inject

Document = dict[str, Any]
VERSION: Final = "admission.k8s.io/v1"


class BadReview(ValueError):
    """This is no AdmissionReview that can be answered; the message says what is missing."""


def request(review: Any) -> Document:
    """The request of a review. BadReview when there is none."""
    if not isinstance(review, dict) or review.get("kind") != "AdmissionReview":
        raise BadReview('want a JSON object of kind "AdmissionReview"')
    if review.get("apiVersion") != VERSION:
        raise BadReview(f"want apiVersion {VERSION}, got {review.get('apiVersion')!r}")
    asked = review.get("request")
    if not isinstance(asked, dict) or not isinstance(asked.get("uid"), str):
        raise BadReview("the review has no request with a uid")
    return asked


def answer(asked: Mapping[str, Any], labels: Mapping[str, str], config: Config) -> Document:
    """The review's answer; `labels` are those of the request's namespace."""
    pod, namespace = asked.get("object"), str(asked.get("namespace") or "")
    if not isinstance(pod, dict) or pod.get("kind", "Pod") != "Pod":
        return denied(asked, "request.object is no Pod; let the webhook's rules name pods only", 400)
    outcome = inject(pod, namespace, labels, config)
    if outcome.refused:
        wrong = [each for each in outcome.problems if each.severity == "error"]
        return denied(asked, "; ".join(f"{each.path}: {each.message}" for each in wrong))
    response: Document = {"uid": asked["uid"], "allowed": True}
    if outcome.problems:
        response["warnings"] = [each.message for each in outcome.problems]
    if outcome.injected:
        operations = json.dumps(difference(pod, outcome.document), separators=(",", ":")).encode()
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(operations).decode()}
    return _review(response)


def allowed(asked: Mapping[str, Any]) -> Document:
    """As it is."""
    return _review({"uid": asked["uid"], "allowed": True})


def denied(asked: Mapping[str, Any], message: str, code: int = 422) -> Document:
    reason = "Invalid" if code == 422 else "BadRequest"
    status = {"message": message, "reason": reason, "code": code}
    return _review({"uid": asked["uid"], "allowed": False, "status": status})


def _review(response: Document) -> Document:
    return {"apiVersion": VERSION, "kind": "AdmissionReview", "response": response}
