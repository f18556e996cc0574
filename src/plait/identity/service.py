"""The certificate endpoint: istio.v1.auth.IstioCertificateService/CreateCertificate on grpc.aio.

A caller gets its own identity; the node agent's account may ask for those of pods that run on its node. Whatever is
wrong becomes a gRPC status. Signing is `authority`'s, tokens are `tokens`' business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import grpc
from cryptography.x509 import random_serial_number
from google.protobuf.message import DecodeError

from plait.base import aio, spiffe
from plait.base.certification import IMPERSONATED, METHOD, SERVICE, Request, Response
from plait.base.observe import logger
from plait.base.spiffe import SpiffeId
from plait.base.wellknown import DEFAULT_ROOT_NAMESPACE, DEFAULT_TRUST_DOMAIN, NODE_AGENT_ACCOUNT
from plait.identity import authority, external
from plait.identity.authority import Refused
from plait.identity.external import Issuer
from plait.identity.tokens import Caller, NotAuthenticated, Tokens
from plait.identity.trust import Trust

_log = logger("identity")
_NO_IMPERSONATION: Final = "request impersonation authentication failure"
_PER_SECOND, _AT_ONCE = 100.0, 500.0  # certificates one caller may have: a node starts all its pods at once
_MOST_CALLERS = 4096


class Placement(Protocol):
    """Which pod runs where, from the control plane's pod informer (pods that have not ended)."""

    def node_of(self, namespace: str, pod: str, uid: str) -> str | None:
        """The node of exactly this pod; None when it is not there."""
        ...

    def runs(self, node: str, namespace: str, service_account: str) -> bool:
        """Does a pod of this account run (or is it about to) on this node?"""
        ...


class Denied(Exception):
    """The answer is this status."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class CertificateService:
    """One authority. `trust` is asked at each request, so a changed root counts at once."""

    def __init__(
        self,
        trust: Callable[[], Trust],
        tokens: Tokens,
        placement: Placement,
        *,
        trust_domain: str = DEFAULT_TRUST_DOMAIN,
        node_accounts: frozenset[tuple[str, str]] = frozenset({(DEFAULT_ROOT_NAMESPACE, NODE_AGENT_ACCOUNT)}),
        clock: Callable[[], float] = aio.now,
        serial: Callable[[], int] = random_serial_number,
        signed: Callable[[float], None] = lambda lifetime: None,
        revoked: Callable[[str], bool] = lambda identity: False,
        issuer: Issuer | None = None,
    ) -> None:
        """`signed` hears each lifetime given out; `issuer` signs instead of `trust`, whose bundle it must lead to."""
        self._trust, self._tokens, self._placement = trust, tokens, placement
        self._domain, self._node_accounts = trust_domain, node_accounts
        self._clock, self._serial = clock, serial
        self._signed, self._revoked, self._issuer = signed, revoked, issuer
        self._allowance: dict[Caller, tuple[float, float]] = {}
        self.issued = 0
        self.refused = 0

    def handler(self) -> grpc.GenericRpcHandler:
        """For `server.add_generic_rpc_handlers((service.handler(),))`."""
        # Bytes are decoded in the method: what does not parse gets a status of ours instead of a stack trace.
        method = grpc.unary_unary_rpc_method_handler(self._called)
        return grpc.method_handlers_generic_handler(SERVICE, {METHOD: method})

    async def create(self, authorization: str, body: bytes) -> bytes:
        """One request; Denied has the status when the answer is no."""
        try:
            caller = await self._tokens.authenticate(authorization)
        except NotAuthenticated as error:
            raise Denied(grpc.StatusCode.UNAUTHENTICATED, str(error)) from error
        self._spend(caller)
        try:
            request = Request.FromString(body)
        except DecodeError as error:
            raise Denied(grpc.StatusCode.INVALID_ARGUMENT, "not an IstioCertificateRequest") from error
        identity = self._identity(caller, request)
        lifetime = float(request.validity_duration) if request.validity_duration else authority.DEFAULT_LIFETIME
        if self._revoked(str(identity)):
            raise Denied(grpc.StatusCode.PERMISSION_DENIED, f"{identity} is revoked")
        lifetime = min(lifetime, authority.LONGEST_LIFETIME)
        trust = self._trust()
        chain = await self._chain(request.csr, identity, lifetime, trust)
        self._signed(lifetime)
        _log.debug("certificate issued", identity=identity, caller=f"{caller.namespace}/{caller.service_account}")
        return bytes(Response(cert_chain=[*chain, trust.bundle]).SerializeToString())

    async def _chain(self, csr: str, identity: SpiffeId, lifetime: float, trust: Trust) -> tuple[str, ...]:
        if self._issuer is None:
            leaf = authority.sign(csr, identity, trust.signer, self._clock(), lifetime, self._serial())
            if isinstance(leaf, Refused):
                raise Denied(grpc.StatusCode.INVALID_ARGUMENT, leaf.reason)
            return (leaf, *trust.signer.chain)
        if (refused := authority.requested(csr)) is not None:
            raise Denied(grpc.StatusCode.INVALID_ARGUMENT, refused.reason)
        if not lifetime > 0:
            raise Denied(grpc.StatusCode.INVALID_ARGUMENT, "the validity must be more than 0 seconds")
        try:
            chain = await self._issuer.issue(csr, str(identity), lifetime)
            external.check(chain, csr, str(identity), trust.roots)
        except external.IssuerError as error:
            _log.error("the external signer gave no usable certificate", identity=identity, error=error)
            raise Denied(grpc.StatusCode.UNAVAILABLE, "the external signer gave no usable certificate") from error
        return chain

    def _identity(self, caller: Caller, request: Any) -> SpiffeId:
        own = SpiffeId(self._domain, caller.namespace, caller.service_account)
        if IMPERSONATED not in request.metadata.fields:
            return own
        value = request.metadata.fields[IMPERSONATED]
        if value.WhichOneof("kind") != "string_value":
            raise Denied(grpc.StatusCode.INVALID_ARGUMENT, f"metadata.{IMPERSONATED} must be a string")
        try:
            return self._impersonated(caller, value.string_value)
        except PermissionError as error:
            # The caller hears the protocol's one sentence; which check failed stands in our log.
            _log.warning("impersonation refused", caller=caller, asked=value.string_value, reason=error)
            raise Denied(grpc.StatusCode.UNAUTHENTICATED, _NO_IMPERSONATION) from error

    def _impersonated(self, caller: Caller, uri: str) -> SpiffeId:
        if (caller.namespace, caller.service_account) not in self._node_accounts:
            raise PermissionError("the caller is not a node agent")
        try:
            wanted = spiffe.parse(uri)
        except ValueError as error:
            raise PermissionError(str(error)) from error
        if wanted.trust_domain != self._domain:
            raise PermissionError(f"trust domain is {self._domain}")
        node = self._node(caller)
        if not self._placement.runs(node, wanted.namespace, wanted.service_account):
            raise PermissionError(f"no pod of {wanted.namespace}/{wanted.service_account} runs on node {node}")
        return wanted

    def _node(self, caller: Caller) -> str:
        if not caller.pod:
            if not caller.node:
                raise PermissionError("the token is bound to neither a pod nor a node")
            return caller.node
        node = self._placement.node_of(caller.namespace, caller.pod, caller.pod_uid)
        if node is None or (caller.node and caller.node != node):
            raise PermissionError(f"pod {caller.namespace}/{caller.pod} with that uid does not run there")
        return node

    def _spend(self, caller: Caller) -> None:
        """A token bucket a caller: one that asks without end does not starve the others."""
        now = self._clock()
        left, since = self._allowance.get(caller, (_AT_ONCE, now))
        left = min(_AT_ONCE, left + max(0.0, now - since) * _PER_SECOND)
        if left < 1:
            raise Denied(grpc.StatusCode.RESOURCE_EXHAUSTED, f"more than {_PER_SECOND:g} certificates a second")
        if len(self._allowance) >= _MOST_CALLERS:
            self._allowance.clear()
        self._allowance[caller] = (left - 1, now)

    async def _called(self, body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        authorization = ""
        for key, value in context.invocation_metadata() or ():
            if key == "authorization":
                authorization = value if isinstance(value, str) else value.decode(errors="replace")
        try:
            answer = await self.create(authorization, body)
        except Denied as denied:
            self.refused += 1
            await context.abort(denied.code, denied.message)
        except Exception as error:
            self.refused += 1
            _log.error("certificate request failed", error=repr(error), exc_info=error)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the authority cannot answer now; try again")
        self.issued += 1
        return answer
