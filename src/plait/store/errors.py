"""Every refusal the API server gives, as `ApiError` values with Kubernetes' codes and reasons, and their `Status` body.

Wording follows kube-apiserver where clients match on it; each message names the object and, for fields, the path.
"""

from __future__ import annotations

from collections.abc import Iterable

from plait.resources.kinds import Kind
from plait.store.api import ApiError, Document

Cause = tuple[str, str, str]  # field path, message, reason (FieldValueInvalid, FieldValueRequired …)


def _about(kind: Kind, name: str) -> Document:
    return {"name": name, "group": kind.group, "kind": kind.plural}


def not_found(kind: Kind, name: str) -> ApiError:
    return ApiError(404, "NotFound", f'{kind} "{name}" not found', _about(kind, name))


def no_such_path(path: str) -> ApiError:
    return ApiError(404, "NotFound", f"the server could not find the requested resource ({path})")


def already_exists(kind: Kind, name: str) -> ApiError:
    return ApiError(409, "AlreadyExists", f'{kind} "{name}" already exists', _about(kind, name))


def conflict(kind: Kind, name: str, why: str = "") -> ApiError:
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    return ApiError(409, "Conflict", f'Operation cannot be fulfilled on {kind} "{name}": {why}', _about(kind, name))


def invalid(kind: Kind, name: str, causes: Iterable[Cause]) -> ApiError:
    found = [{"reason": reason, "message": message, "field": path} for path, message, reason in causes]
    listed = [f"{c['field']}: {c['message']}" for c in found]
    text = listed[0] if len(listed) == 1 else f"[{', '.join(listed)}]"
    shown = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    details = {"name": name, "group": kind.group, "kind": kind.kind, "causes": found}
    return ApiError(422, "Invalid", f'{shown} "{name}" is invalid: {text}', details)


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


def forbidden(kind: Kind | None, name: str, why: str) -> ApiError:
    if kind is None:
        return ApiError(403, "Forbidden", f"forbidden: {why}")
    shown = f'{kind} "{name}"' if name else str(kind)
    return ApiError(403, "Forbidden", f"{shown} is forbidden: {why}", _about(kind, name))


def not_allowed(what: str) -> ApiError:
    return ApiError(405, "MethodNotAllowed", f"the server does not allow this method on the requested resource: {what}")


def expired(asked: int, floor: int) -> ApiError:
    return ApiError(410, "Expired", f"too old resource version: {asked} ({floor})")


def too_large(asked: int, current: int) -> ApiError:
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    text = f"Timeout: Too large resource version: {asked}, current: {current}"
    return ApiError(504, "Timeout", text, {"causes": [cause], "retryAfterSeconds": 1})


def unsupported_media(given: str, wanted: str) -> ApiError:
    return ApiError(
        415, "UnsupportedMediaType", f"the body of the request was in an unknown format ({given}); accepted: {wanted}"
    )


def status(error: ApiError) -> Document:
    """The `Status` document of a refusal."""
    body: Document = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": str(error),
        "reason": error.reason,
        "code": error.code,
    }
    if error.details:
        body["details"] = error.details
    return body


def success(kind: Kind, name: str, uid: str) -> Document:
    """The `Status` document of a finished deletion."""
    details = _about(kind, name) | {"uid": uid}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
