"""Certificates of a node: what is asked for, what is believed, what Envoy gets."""

from __future__ import annotations

import asyncio

from cryptography import x509

from plait.base import aio
from plait.base.spiffe import parse
from plait.identity import authority, trust
from plait.proxy.certs import CaError, Certificates, Issued
from plait.proxy.metrics import renamed

A, B = "spiffe://cluster.local/ns/shop/sa/a", "spiffe://cluster.local/ns/shop/sa/b"
TRUST = trust.create("test", aio.now(), 1)


class Ca:
    def __init__(self, failures: int = 0, certify_as: str = "") -> None:
        self.failures, self.certify_as, self.asked = failures, certify_as, 0

    async def certify(self, csr: str, identity: str, lifetime: float) -> Issued:
        self.asked += 1
        if self.failures > 0:
            self.failures -= 1
            raise CaError("UNAVAILABLE: away")
        leaf = authority.sign(csr, parse(self.certify_as or identity), TRUST.signer, aio.now(), lifetime, 9)
        assert isinstance(leaf, str)
        return Issued((leaf,), TRUST.bundle)


async def test_wanted_identity_becomes_a_secret_named_by_it_and_the_roots_come_too() -> None:
    news = asyncio.Event()
    held = Certificates(Ca(), news.set)
    held.want([A])
    await held.present(A)
    secrets = held.secrets("ROOTCA")
    assert secrets.keys() == {A, "ROOTCA"} and news.is_set()
    leaf = x509.load_pem_x509_certificate(secrets[A]["tls_certificate"]["certificate_chain"]["inline_string"].encode())
    assert leaf.issuer == TRUST.signer.certificate.subject
    assert "PRIVATE" not in repr(held.held())
    await held.close()


async def test_authority_that_is_away_is_asked_again() -> None:
    ca = Ca(failures=2)
    held = Certificates(ca, lambda: None)
    held.want([A])
    await held.present(A)
    assert ca.asked == 3 and held.problems == {}
    await held.close()


async def test_certificate_of_another_identity_is_not_believed() -> None:
    held = Certificates(Ca(certify_as=B), lambda: None)
    held.want([A])
    while A not in held.problems:
        await asyncio.sleep(0)
    assert held.secrets("ROOTCA") == {} and "another identity" in held.problems[A]
    await held.close()


async def test_unwanted_key_is_forgotten() -> None:
    held = Certificates(Ca(), lambda: None)
    held.want([A, B])
    await held.present(A)
    await held.present(B)
    held.want([B])
    assert held.held().keys() == {B}
    await held.close()


async def test_ended_certificate_is_no_longer_served() -> None:
    now = [aio.now()]
    held = Certificates(Ca(), lambda: None, lifetime=60, clock=lambda: now[0])
    held.want([A])
    await held.present(A)
    now[0] += 61
    assert A not in held.secrets("ROOTCA")
    await held.close()


def test_mesh_metrics_lose_envoys_prefix_and_others_keep_it() -> None:
    text = '# TYPE envoy_istio_tcp_x counter\nenvoy_istio_tcp_x{a="envoy_istio_"} 1\nenvoy_server_live 1\n'
    assert renamed(text) == '# TYPE istio_tcp_x counter\nistio_tcp_x{a="envoy_istio_"} 1\nenvoy_server_live 1\n'


async def test_a_certificate_that_ends_without_a_successor_is_told_and_no_longer_served() -> None:
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    late = Certificates(Ca(), lambda: None, lifetime=60, clock=lambda: aio.now() + 59.9, expired=ended.set_result)
    late.want([A])
    await late.present(A)
    assert await asyncio.wait_for(ended, 5) == A
    assert A not in late.held()
    await late.close()


async def test_renew_asks_for_all_anew_and_serves_the_old_meanwhile() -> None:
    ca = Ca()
    held = Certificates(ca, lambda: None)
    held.want([A])
    await held.present(A)
    first = held.held()[A].chain
    held.renew()
    assert held.held()[A].chain == first
    async with asyncio.timeout(10):
        while held.held()[A].chain == first:
            await asyncio.sleep(0.01)
    assert ca.asked == 2
    await held.close()
