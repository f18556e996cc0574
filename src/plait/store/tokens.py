"""ServiceAccount tokens: issue bound JWTs, check them against the objects they are bound to, publish the keys.

A token dies with its ServiceAccount, and with the Pod, Node or Secret it is bound to. Static tokens and certificates
are `http`'s.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from plait.resources import kinds
from plait.store import errors
from plait.store.access import ACCOUNT_PREFIX, AUTHENTICATED, User
from plait.store.api import ApiError, Document
from plait.store.state import State, stamp

ISSUER = "https://kubernetes.default.svc.cluster.local"
_PLURALS = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}
_LEAST, _DEFAULT = 600, 3600
_EXTRA = "authentication.kubernetes.io/"


class Tokens:
    """Signs with one key of the cluster's; `state` is asked whether what a token is bound to still lives."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, state: State) -> None:
        self._key, self._state = key, state
        self._public = key.public_key()
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        self._id = _text(hashlib.sha256(self._public.public_bytes(serialization.Encoding.DER, form)).digest())

    def request(self, namespace: str, name: str, spec: Document, now: float) -> Document:
        """The status of a TokenRequest: token and expiry."""
        account = self._account(namespace, name)
        if account is None:
            raise errors.not_found(kinds.SERVICE_ACCOUNT, name)
        seconds = int(spec.get("expirationSeconds") or _DEFAULT)
        if seconds < _LEAST:
            text = "Invalid value: may not specify a duration less than 10 minutes"
            raise errors.invalid(_REQUEST, name, [("spec.expirationSeconds", text, "FieldValueInvalid")])
        audiences = list(spec.get("audiences") or [ISSUER])
        private: Document = {"namespace": namespace, "serviceaccount": _reference(account)}
        if bound := spec.get("boundObjectRef"):
            private |= self._bound(namespace, name, bound)
        claims = {
            "aud": audiences,
            "exp": int(now) + seconds,
            "iat": int(now),
            "nbf": int(now),
            "iss": ISSUER,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": private,
            "sub": f"{ACCOUNT_PREFIX}{namespace}:{name}",
        }
        token = jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": self._id})
        return {"token": token, "expirationTimestamp": stamp(now + seconds)}

    def _bound(self, namespace: str, account: str, bound: Document) -> Document:
        kind, name = bound.get("kind", ""), bound.get("name", "")
        if kind not in _PLURALS:
            raise errors.bad_request(f"cannot bind token to object of kind {kind!r}: use Pod, Node or Secret")
        record = self._state.get(("", _PLURALS[kind]), ("" if kind == "Node" else namespace, name))
        if record is None:
            raise ApiError(404, "NotFound", f'{_PLURALS[kind]} "{name}" not found')
        document = record.document
        if bound.get("uid") and bound["uid"] != document["metadata"]["uid"]:
            have = document["metadata"]["uid"]
            raise ApiError(409, "Conflict", f"the UID in the bound object reference ({bound['uid']}) is not {have}")
        out = {kind.lower(): _reference(document)}
        if kind == "Pod":
            if document["spec"].get("serviceAccountName", "default") != account:
                raise errors.bad_request(f"cannot bind token: pod {name} does not run as service account {account}")
            if node_name := document["spec"].get("nodeName"):
                node = self._state.get(("", "nodes"), ("", node_name))
                out["node"] = _reference(node.document) if node else {"name": node_name}
        return out

    def check(self, token: str, now: float, audiences: tuple[str, ...] = (ISSUER,)) -> tuple[User, list[str]] | str:
        """The user of a token and the audiences it is good for here, or why it is refused."""
        try:
            options: Any = {"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False}
            claims = jwt.decode(token, self._public, algorithms=["ES256"], issuer=ISSUER, options=options)
            private = claims["kubernetes.io"]
            namespace, account_ref = private["namespace"], private["serviceaccount"]
            if now >= claims["exp"] or now < claims["nbf"] - 5:
                return "service account token has expired"
            good = [a for a in claims["aud"] if a in audiences]
            if not good:
                return f"token audiences {claims['aud']} is invalid for the target audiences {list(audiences)}"
            account = self._account(namespace, account_ref["name"])
            if account is None or account["metadata"]["uid"] != account_ref["uid"]:
                return f"service account {namespace}/{account_ref['name']} has been deleted"
            extra: dict[str, tuple[str, ...]] = {}
            for kind, plural in _PLURALS.items():
                if (reference := private.get(kind.lower())) is None:
                    continue
                place = "" if kind == "Node" else namespace
                record = self._state.get(("", plural), (place, reference["name"]))
                bound_here = kind != "Node" or "pod" not in private
                if bound_here and (record is None or record.document["metadata"]["uid"] != reference.get("uid")):
                    return f"the bound {kind.lower()} {reference['name']} has been deleted"
                if kind != "Secret":
                    extra[f"{_EXTRA}{kind.lower()}-name"] = (reference["name"],)
                    if reference.get("uid"):
                        extra[f"{_EXTRA}{kind.lower()}-uid"] = (reference["uid"],)
            extra[f"{_EXTRA}credential-id"] = (f"JTI={claims['jti']}",)
        except (jwt.InvalidTokenError, KeyError, TypeError, AttributeError, ValueError) as error:
            return f"invalid bearer token: {error}"
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
        return User(claims["sub"], groups, account_ref["uid"], extra), good

    def review(self, spec: Document, now: float) -> Document:
        """The status of a TokenReview."""
        wanted = tuple(spec.get("audiences") or [ISSUER])
        found = self.check(spec.get("token") or "", now, wanted)
        if isinstance(found, str):
            return {"authenticated": False, "error": found}
        user, good = found
        return {"authenticated": True, "user": user.document(), "audiences": good}

    def _account(self, namespace: str, name: str) -> Document | None:
        record = self._state.get(("", "serviceaccounts"), (namespace, name))
        return record.document if record else None

    def configuration(self, base: str) -> Document:
        """/.well-known/openid-configuration"""
        return {
            "issuer": ISSUER,
            "jwks_uri": f"{base}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }

    def keys(self) -> Document:
        """/openid/v1/jwks"""
        numbers = self._public.public_numbers()
        x, y = (_text(value.to_bytes(32, "big")) for value in (numbers.x, numbers.y))
        key = {"use": "sig", "kty": "EC", "kid": self._id, "crv": "P-256", "alg": "ES256", "x": x, "y": y}
        return {"keys": [key]}


_REQUEST = kinds.Kind("authentication.k8s.io", ("v1",), "TokenRequest", "tokenrequests")


def _reference(document: Document) -> Document:
    return {"name": document["metadata"]["name"], "uid": document["metadata"]["uid"]}


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
