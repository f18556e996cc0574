"""Somebody else signs: a company's authority reached through a command, and what is checked of its answer.

`signer.json` in the authority's folder turns it on: {"command": ["/path/sign", "--flag"], "seconds": 10}. It is read
when the control plane starts. The command gets one JSON object on standard input (`csr` PEM, `identity` SPIFFE URI,
`lifetime` seconds) and prints the certificate and its intermediates as PEM, leaf first; another exit code than 0 is a
refusal, standard error the reason. Its root must stand in root-cert.pem of the folder. The control plane's own TLS
certificate stays with the folder's key.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

FILE: Final = "signer.json"
_LARGEST: Final = 64 * 1024


class IssuerError(Exception):
    """No usable certificate; the message is for the authority's log."""


class Issuer(Protocol):
    """A signer outside of this process."""

    async def issue(self, csr: str, identity: str, lifetime: float) -> tuple[str, ...]:
        """PEM certificates, leaf first, without the root. IssuerError when refused or out of reach."""
        ...


class Command(msgspec.Struct, frozen=True):
    """An Issuer that runs a program for each certificate."""

    command: tuple[str, ...]
    seconds: float = 10.0

    async def issue(self, csr: str, identity: str, lifetime: float) -> tuple[str, ...]:
        question = msgspec.json.encode({"csr": csr, "identity": identity, "lifetime": int(lifetime)})
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(*self.command, stdin=pipe, stdout=pipe, stderr=pipe)
        except OSError as error:
            raise IssuerError(f"{self.command[0]}: {error}") from error
        try:
            async with asyncio.timeout(self.seconds):
                out, err = await process.communicate(question)
        except TimeoutError:
            raise IssuerError(f"{self.command[0]}: no answer in {self.seconds:g} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode != 0:
            raise IssuerError(f"{self.command[0]}: {err.decode(errors='replace').strip()[:500] or process.returncode}")
        if len(out) > _LARGEST:
            raise IssuerError(f"{self.command[0]}: more than {_LARGEST} bytes")
        try:
            certificates = x509.load_pem_x509_certificates(out)
        except ValueError as error:
            raise IssuerError(f"{self.command[0]}: no PEM certificate ({error})") from error
        return tuple(each.public_bytes(serialization.Encoding.PEM).decode() for each in certificates)


def configured(folder: Path) -> Issuer | None:
    """What signer.json says; None without one. IssuerError names the file when it cannot be used."""
    file = folder / FILE
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Command)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise IssuerError(f'{file}: {error}; want {{"command": ["/path/to/program"]}}') from error
    if not found.command:
        raise IssuerError(f"{file}: command is empty; give the program and its arguments")
    return found


def check(chain: Sequence[str], csr: str, identity: str, roots: Sequence[str]) -> None:
    """IssuerError unless the leaf has the request's key and this identity alone, and leads to a root of the mesh."""
    try:
        certificates = [x509.load_pem_x509_certificate(each.encode()) for each in chain]
        trusted = [x509.load_pem_x509_certificate(each.encode()) for each in roots]
        leaf = certificates[0]
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, IndexError, x509.ExtensionNotFound) as error:
        raise IssuerError(f"the certificate cannot be read: {error}") from error
    if [name.value for name in names] != [identity]:
        raise IssuerError(f"the certificate says {[str(name.value) for name in names]} instead of {identity}")
    if leaf.public_key() != x509.load_pem_x509_csr(csr.encode()).public_key():
        raise IssuerError("the certificate is for another key than the request's")
    for child, parents in zip(certificates, [*([each] for each in certificates[1:]), trusted], strict=True):
        if not any(_signed(child, parent) for parent in parents):
            raise IssuerError("the certificate leads to no root of the mesh; put the signer's into root-cert.pem")


def _signed(child: x509.Certificate, parent: x509.Certificate) -> bool:
    if child == parent:  # an answer that ends with the root itself
        return True
    try:
        child.verify_directly_issued_by(parent)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
