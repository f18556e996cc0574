"""A signer outside: what it is told, what is checked of its answer, and what a failure is called."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from plait.base.spiffe import parse
from plait.identity import authority, external, trust
from plait.identity.external import Command, IssuerError

NOW = 1_800_000_000.0
ME, OTHER = "spiffe://cluster.local/ns/shop/sa/a", "spiffe://cluster.local/ns/shop/sa/b"
TRUST = trust.create("company", NOW, 1)

PROGRAM = """
import json, sys, time
from pathlib import Path
from plait.base.spiffe import parse
from plait.identity import authority, trust
asked = json.load(sys.stdin)
mine = trust.load(Path(sys.argv[1]))
print(authority.sign(asked["csr"], parse(asked["identity"]), mine.signer, 1_800_000_000.0, asked["lifetime"], 5))
"""


def csr() -> str:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = request.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def leaf(request: str, identity: str, signer: trust.Trust = TRUST) -> str:
    made = authority.sign(request, parse(identity), signer.signer, NOW, 60, 5)
    assert isinstance(made, str)
    return made


async def test_a_command_signs_and_its_answer_passes_the_check(tmp_path: Path) -> None:
    trust.save(tmp_path, TRUST)
    program = Command((sys.executable, "-c", PROGRAM, str(tmp_path)))
    request = csr()
    chain = await program.issue(request, ME, 60)
    external.check(chain, request, ME, TRUST.roots)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("/bin/sh", "-c", "echo no budget >&2; exit 1"), "no budget"),
        (("/bin/echo", "hello"), "no PEM certificate"),
        (("/does/not/exist",), "No such file"),
    ],
)
async def test_a_failing_command_is_named_with_its_words(command: tuple[str, ...], words: str) -> None:
    with pytest.raises(IssuerError, match=words):
        await Command(command).issue(csr(), ME, 60)


async def test_a_command_that_never_answers_is_given_up() -> None:
    with pytest.raises(IssuerError, match="no answer"):
        await Command(("/bin/sleep", "60"), seconds=0.05).issue(csr(), ME, 60)


def test_another_identity_another_key_or_another_root_is_refused() -> None:
    request = csr()
    with pytest.raises(IssuerError, match="instead of"):
        external.check([leaf(request, OTHER)], request, ME, TRUST.roots)
    with pytest.raises(IssuerError, match="another key"):
        external.check([leaf(csr(), ME)], request, ME, TRUST.roots)
    with pytest.raises(IssuerError, match="no root"):
        external.check([leaf(request, ME)], request, ME, trust.create("foreign", NOW, 2).roots)


def test_a_broken_setting_is_refused_by_file_name(tmp_path: Path) -> None:
    assert external.configured(tmp_path) is None
    (tmp_path / external.FILE).write_text('{"command": "one string"}')
    with pytest.raises(IssuerError, match=r"signer\.json"):
        external.configured(tmp_path)
