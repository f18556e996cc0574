"""Secrets with a server's certificate and key: can they be used, now?"""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509

from plait.model.compile.traffic import credentials
from plait.resources.kubernetes import Secret


def unusable(secret: Secret, now: float | None) -> str:
    """Why no server can use it, or no client would take it; "" when all is well. Without a time nothing has expired."""
    if why := credentials.pair(secret):
        return why
    moment = datetime.fromtimestamp(now, UTC) if now is not None else None
    certificate = x509.load_pem_x509_certificates(credentials.value(secret, *credentials.CERTIFICATE))[0]
    where = f"the certificate of Secret {secret.namespace}/{secret.name}"
    if moment is not None and certificate.not_valid_after_utc < moment:
        return f"{where} expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
    if moment is not None and certificate.not_valid_before_utc > moment:
        return f"{where} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}"
    return ""
