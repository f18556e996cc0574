"""Gateway: the ports, hosts and TLS of an edge proxy, and which routes may attach. One noun for both gateway APIs.

Certificates are named, never held: keys do not travel through the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from msgspec import Struct

from plait.base.wellknown import GATEWAY_ACCOUNT, GATEWAY_NAME_OVERRIDE
from plait.model.attachment import Labels

Protocol = Literal["HTTP", "HTTPS", "GRPC", "HTTP2", "TLS", "TCP", "MONGO", "HBONE"]
TlsMode = Literal[
    "passthrough", "simple", "mutual", "istio_mutual", "istio_simple", "auto_passthrough", "optional_mutual"
]
TlsVersion = Literal["", "1.0", "1.1", "1.2", "1.3"]


class Certificate(Struct, frozen=True, gc=False):
    """A certificate and its key: a Secret ("ns/name") or files."""

    secret: str = ""
    certificate_file: str = ""
    key_file: str = ""


class ServerTls(Struct, frozen=True, gc=False):
    """How connections are opened. `client_roots`: what client certificates must come from."""

    mode: TlsMode
    certificates: tuple[Certificate, ...] = ()
    client_roots_secret: str = ""
    """"ns/name" of a Secret (key `cacert` or `ca.crt`); "configmap:ns/name" of a ConfigMap (`ca.crt`)."""
    client_roots_file: str = ""
    client_roots_more: tuple[str, ...] = ()
    """Further roots in the same spelling as `client_roots_secret`."""
    crl_file: str = ""
    subject_alt_names: tuple[str, ...] = ()
    spki: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()
    least: TlsVersion = ""
    most: TlsVersion = ""
    ciphers: tuple[str, ...] = ()
    insecure: bool = False
    """Client certificates are asked for but any is taken."""


class HostScope(Struct, frozen=True, gc=False):
    """A host pattern (`*`, `*.x`, exact) and the namespace whose routes may use it ("*" any)."""

    host: str
    namespace: str = "*"


class Listener(Struct, frozen=True, gc=False):
    """One port with its hosts. `broken` says why it serves nothing (the others still do)."""

    name: str
    port: int
    protocol: Protocol
    hosts: tuple[HostScope, ...]
    bind: str = ""
    tls: ServerTls | None = None
    https_only: bool = False
    """Plain HTTP that answers every request with a redirect to https."""
    default_endpoint: str = ""
    broken: str = ""


class Gateway(Struct, frozen=True):
    """Listeners for the pods of `selector` in `namespace` ("" any), or for the pods made for it (`managed`)."""

    key: str
    """"ns/name" of an Istio Gateway; "gateway-api/ns/name" of the Gateway API's."""
    namespace: str
    name: str
    listeners: tuple[Listener, ...]
    selector: Labels = ()
    selector_namespace: str = ""
    class_name: str = ""
    waypoint: bool = False
    waypoint_for: Literal["service", "workload", "all", "none"] = "service"
    backend_credential: str = ""
    """Secret of the certificate the gateway shows to backends."""
    service_account: str = ""
    """Of a managed one: the account its pods run with."""
    account_namespace: str = ""
    """Where that account is: the pool, for a waypoint that runs there; "" `namespace`."""
    created: str = ""

    @property
    def managed(self) -> bool:
        return self.key.startswith("gateway-api/")

    @property
    def age(self) -> tuple[str, str, str]:
        return self.created, self.namespace, self.name


class Names(NamedTuple):
    """What the things made for a Gateway are called; `workload` is the name of Deployment and Service."""

    workload: str
    account: str


def names(gateway: str, class_name: str, waypoint: bool, annotations: Mapping[str, str]) -> Names:
    """A waypoint has its Gateway's name; others add the class, so that one Gateway name may serve several classes."""
    usual = gateway if waypoint else f"{gateway}-{class_name}"
    workload = annotations.get(GATEWAY_NAME_OVERRIDE) or usual
    return Names(workload, annotations.get(GATEWAY_ACCOUNT) or workload)
