"""The certificate endpoint over real gRPC: what honest callers get and what attackers do not."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from kit.rounds import rounds
from plait.base import aio
from plait.base.certification import IMPERSONATED, METHOD, SERVICE, Request, Response
from plait.identity import trust
from plait.identity.service import CertificateService
from plait.identity.tokens import Tokens

TRUST = trust.create("cluster.local", aio.now(), 7)
POD = "spiffe://cluster.local/ns/shop/sa/order"
AGENT = "system:serviceaccount:istio-system:ztunnel"


def status(user: str, audiences: tuple[str, ...] = ("istio-ca",), **extra: str) -> dict[str, Any]:
    bound = {f"authentication.kubernetes.io/{key.replace('_', '-')}": [value] for key, value in extra.items()}
    return {"authenticated": True, "audiences": list(audiences), "user": {"username": user, "extra": bound}}


TOKENS: Mapping[str, dict[str, Any]] = {
    "agent-a": status(AGENT, node_name="node-a"),
    "agent-b": status(AGENT, node_name="node-b"),
    "agent-unbound": status(AGENT),
    "ztunnel-pod": status(AGENT, pod_name="ztunnel-x", pod_uid="u1"),
    "ztunnel-old-pod": status(AGENT, pod_name="ztunnel-x", pod_uid="gone"),
    "order": status("system:serviceaccount:shop:order", pod_name="order-1", pod_uid="u2", node_name="node-a"),
    "foreign": status(AGENT, audiences=("vault",), node_name="node-a"),
    "expired": {"authenticated": False, "error": "token has expired"},
    "human": status("kubernetes-admin"),
}


async def review(token: str, audiences: tuple[str, ...]) -> Mapping[str, Any]:
    return TOKENS.get(token, {"authenticated": False, "error": "invalid token"})


class Pods:
    def node_of(self, namespace: str, pod: str, uid: str) -> str | None:
        return "node-a" if (namespace, pod, uid) == ("istio-system", "ztunnel-x", "u1") else None

    def runs(self, node: str, namespace: str, service_account: str) -> bool:
        return (node, namespace, service_account) == ("node-a", "shop", "order")


class Endpoint:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._call = channel.unary_unary(f"/{SERVICE}/{METHOD}")

    async def raw(self, token: str, body: bytes) -> bytes:
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        return await self._call(body, metadata=metadata)

    async def ask(self, token: str, csr: str, identity: Any = None, seconds: int = 0) -> list[str]:
        request = Request(csr=csr, validity_duration=seconds)
        if identity is not None:
            request.metadata.update({IMPERSONATED: identity})
        return list(Response.FromString(await self.raw(token, request.SerializeToString())).cert_chain)


@pytest.fixture
async def ca() -> AsyncIterator[Endpoint]:
    service = CertificateService(lambda: TRUST, Tokens(review, aio.now), Pods())
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((service.handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Endpoint(channel)
    await server.stop(0)


def csr(uri: str = POD, key: Any = None) -> str:
    key = key or ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri), x509.DNSName("evil.example")])
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=True)
    return request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def identities(pem: str) -> list[str]:
    names = x509.load_pem_x509_certificate(pem.encode()).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert len(list(names.value)) == 1, "nothing but the identity is certified"
    return names.value.get_values_for_type(x509.UniformResourceIdentifier)


async def refused(code: grpc.StatusCode, answer: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await answer
    assert caught.value.code() is code, caught.value.details()
    return caught.value.details() or ""


async def test_node_agent_gets_the_identity_of_a_pod_on_its_node(ca: Endpoint) -> None:
    chain = await ca.ask("agent-a", csr(), POD)
    assert identities(chain[0]) == [POD]
    assert chain[-1] == TRUST.bundle
    leaf = x509.load_pem_x509_certificate(chain[0].encode())
    leaf.verify_directly_issued_by(TRUST.signer.certificate)


async def test_foreign_ztunnel_pod_is_placed_by_its_own_pod(ca: Endpoint) -> None:
    assert identities((await ca.ask("ztunnel-pod", csr(), POD))[0]) == [POD]


async def test_without_impersonation_the_callers_own_identity_is_certified_whatever_the_csr_says(ca: Endpoint) -> None:
    chain = await ca.ask("order", csr("spiffe://cluster.local/ns/istio-system/sa/istiod"))
    assert identities(chain[0]) == [POD]


@pytest.mark.parametrize(
    ("token", "identity"),
    [
        ("agent-b", POD),
        ("agent-a", "spiffe://cluster.local/ns/shop/sa/other"),
        ("agent-a", "spiffe://other.domain/ns/shop/sa/order"),
        ("agent-a", "spiffe://cluster.local/ns/shop/sa/order/../admin"),
        ("agent-a", ""),
        ("agent-unbound", POD),
        ("ztunnel-old-pod", POD),
        ("order", "spiffe://cluster.local/ns/shop/sa/order"),
    ],
)
@pytest.mark.reliability(number=31)
async def test_impersonation_beyond_the_callers_node_is_refused(ca: Endpoint, token: str, identity: str) -> None:
    message = await refused(grpc.StatusCode.UNAUTHENTICATED, ca.ask(token, csr(), identity))
    assert message == "request impersonation authentication failure"


@pytest.mark.parametrize("token", ["", "garbage", "expired", "foreign", "human"])
@pytest.mark.reliability(number=31)
async def test_token_that_proves_no_service_account_is_refused(ca: Endpoint, token: str) -> None:
    await refused(grpc.StatusCode.UNAUTHENTICATED, ca.ask(token, csr(), POD))


@pytest.mark.reliability(number=31)
async def test_a_flood_gets_nothing_it_may_not_have_and_starves_nobody(
    ca: Endpoint, record_property: Callable[[str, object], None]
) -> None:
    """Strangers, a node that asks for another's pod, and one that may ask but does without end."""
    count, request = rounds(200), csr()
    callers = (("garbage", POD), ("foreign", POD), ("agent-b", POD), ("agent-a", POD))
    given: Counter[str] = Counter()
    refusals: Counter[grpc.StatusCode] = Counter()

    async def ask(token: str, identity: str) -> None:
        try:
            chain = await ca.ask(token, request, identity)
        except grpc.aio.AioRpcError as error:
            refusals[error.code()] += 1
        else:
            given[token] += 1
            assert identities(chain[0]) == [POD]

    took = []
    flood = [asyncio.ensure_future(ask(*callers[number % 4])) for number in range(count)]
    began = time.monotonic()
    while not took or not all(each.done() for each in flood):
        asked = time.monotonic()
        assert identities((await ca.ask("order", request))[0]) == [POD]
        took.append(time.monotonic() - asked)
        await asyncio.sleep(0.02)
    seconds = time.monotonic() - began
    await asyncio.gather(*flood)
    assert set(given) == {"agent-a"} and set(refusals) <= {
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
    slowest = sorted(took)[int(len(took) * 0.99)]
    record_property(
        "figure", f"{count / seconds:.0f} requests a second: an honest one took {slowest * 1e3:.0f} ms (p99)"
    )


def tampered() -> str:
    """Somebody else's public key under our signature."""
    mine, theirs = csr(), csr()
    der = x509.load_pem_x509_csr(mine.encode()).public_bytes(serialization.Encoding.DER)
    spki = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    own = x509.load_pem_x509_csr(mine.encode()).public_key().public_bytes(*spki)
    other = x509.load_pem_x509_csr(theirs.encode()).public_key().public_bytes(*spki)
    swapped = x509.load_der_x509_csr(der.replace(own, other))
    return swapped.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "garbage",
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        "x" * 100_000,
        csr(key=rsa.generate_private_key(65537, 1024)),
        tampered(),
    ],
    ids=["empty", "text", "not-der", "huge", "short-rsa", "foreign-key"],
)
async def test_unusable_csr_is_refused_and_the_next_good_one_is_served(ca: Endpoint, bad: str) -> None:
    await refused(grpc.StatusCode.INVALID_ARGUMENT, ca.ask("agent-a", bad, POD))
    assert identities((await ca.ask("agent-a", csr(), POD))[0]) == [POD]


async def test_bytes_that_are_no_request_are_refused(ca: Endpoint) -> None:
    await refused(grpc.StatusCode.INVALID_ARGUMENT, ca.raw("agent-a", b"\xff\xff\xff"))


async def test_identity_of_another_type_is_refused(ca: Endpoint) -> None:
    await refused(grpc.StatusCode.INVALID_ARGUMENT, ca.ask("agent-a", csr(), 5))


@pytest.mark.parametrize(("asked", "given"), [(0, 86400), (3600, 3600), (10**12, 90 * 86400)])
async def test_validity_has_a_default_and_a_limit(ca: Endpoint, asked: int, given: int) -> None:
    leaf = x509.load_pem_x509_certificate((await ca.ask("agent-a", csr(), POD, asked))[0].encode())
    assert abs(leaf.not_valid_after_utc.timestamp() - aio.now() - given) < 60


async def test_negative_validity_is_refused(ca: Endpoint) -> None:
    await refused(grpc.StatusCode.INVALID_ARGUMENT, ca.ask("agent-a", csr(), POD, -1))


@pytest.mark.reliability(number=31)
async def test_caller_that_asks_without_end_is_slowed_and_others_are_served(ca: Endpoint) -> None:
    asked = await asyncio.gather(*(ca.ask("agent-a", csr(), POD) for _ in range(900)), return_exceptions=True)
    codes = {answer.code() for answer in asked if isinstance(answer, grpc.aio.AioRpcError)}
    assert codes == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert identities((await ca.ask("order", csr()))[0]) == [POD]
