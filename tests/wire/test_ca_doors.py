"""The certificate endpoint's other doors over gRPC: an outside signer, a chain, a changed root, revoked identities."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kit.fieldwire import each, read, write
from kit.pki import intermediate
from plait.base import aio
from plait.base.spiffe import parse
from plait.identity import authority, trust
from plait.identity.external import IssuerError
from plait.identity.service import CertificateService
from plait.identity.tokens import Tokens
from plait.identity.trust import Trust

METHOD = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
ME = "spiffe://cluster.local/ns/shop/sa/order"
Ask = Callable[[], Any]


async def review(token: str, audiences: tuple[str, ...]) -> Mapping[str, Any]:
    return {
        "authenticated": True,
        "audiences": list(audiences),
        "user": {"username": "system:serviceaccount:shop:order"},
    }


class Nobody:
    def node_of(self, namespace: str, pod: str, uid: str) -> str | None:
        return None

    def runs(self, node: str, namespace: str, service_account: str) -> bool:
        return False


@asynccontextmanager
async def asking(trusted: Callable[[], Trust], **more: Any) -> AsyncIterator[Ask]:
    """`await ask()`: the answer's cert_chain (field 1) for a request by field number."""
    service = CertificateService(trusted, Tokens(review, aio.now), Nobody(), **more)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((service.handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    async def ask() -> list[bytes]:
        key = ec.generate_private_key(ec.SECP256R1())
        csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
        pem = csr.public_bytes(serialization.Encoding.PEM)
        body = await channel.unary_unary(METHOD)(
            write((1, pem), (3, 60)), metadata=(("authorization", "Bearer x"), ("clusterid", "Kubernetes"))
        )
        return each(read(body), 1)

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield ask
    await server.stop(0)


async def test_a_plugged_in_intermediate_stands_between_leaf_and_roots() -> None:
    company = intermediate("company", aio.now())
    async with asking(lambda: company) as ask:
        chain = await ask()
    leaf, between, roots = [x509.load_pem_x509_certificate(pem) for pem in chain]
    leaf.verify_directly_issued_by(between)
    between.verify_directly_issued_by(roots)


async def test_a_changed_root_counts_at_the_next_request_and_both_roots_are_told() -> None:
    old, new = trust.create("old", aio.now(), 1), trust.create("new", aio.now(), 2)
    now = [old]
    async with asking(lambda: now[0]) as ask:
        await ask()
        now[0] = trust.with_roots(new, old.roots)
        leaf, bundle = await ask()
    x509.load_pem_x509_certificate(leaf).verify_directly_issued_by(new.signer.certificate)
    assert bundle.count(b"BEGIN CERTIFICATE") == 2


@pytest.mark.reliability(number=31)
async def test_a_revoked_identity_gets_no_certificate() -> None:
    mine, revoked = trust.create("mesh", aio.now(), 1), set[str]()
    async with asking(lambda: mine, revoked=lambda identity: identity in revoked) as ask:
        await ask()
        revoked.add(ME)
        with pytest.raises(grpc.aio.AioRpcError, match="is revoked") as caught:
            await ask()
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


class Outside:
    def __init__(self, signer: Trust, identity: str = "", failure: str = "") -> None:
        self.signer, self.identity, self.failure = signer, identity, failure

    async def issue(self, csr: str, identity: str, lifetime: float) -> tuple[str, ...]:
        if self.failure:
            raise IssuerError(self.failure)
        who = parse(self.identity or identity)
        leaf = authority.sign(csr, who, self.signer.signer, aio.now(), lifetime, 5)
        assert isinstance(leaf, str)
        return (leaf, *self.signer.signer.chain)


async def test_an_outside_signer_signs_when_its_root_is_trusted() -> None:
    company = intermediate("company", aio.now())
    mine = trust.with_roots(trust.create("mesh", aio.now(), 1), company.roots)
    async with asking(lambda: mine, issuer=Outside(company)) as ask:
        chain = await ask()
    assert len(chain) == 3 and company.signer.chain[0].encode() == chain[1]


@pytest.mark.parametrize(
    "outside",
    [
        Outside(trust.create("foreign", aio.now(), 3)),
        Outside(trust.create("mesh", aio.now(), 1), identity="spiffe://cluster.local/ns/shop/sa/admin"),
        Outside(trust.create("mesh", aio.now(), 1), failure="no budget"),
    ],
    ids=["foreign root", "other identity", "refusal"],
)
async def test_what_an_outside_signer_gets_wrong_reaches_nobody(outside: Outside) -> None:
    mine = trust.create("mesh", aio.now(), 1)
    if outside.identity:
        mine = outside.signer
    async with asking(lambda: mine, issuer=outside) as ask:
        with pytest.raises(grpc.aio.AioRpcError, match="external signer") as caught:
            await ask()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE and "budget" not in str(caught.value.details())
