"""Proxy: who asks for configuration, as far as the answer depends on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from plait.base import wellknown
from plait.model.attachment import Labels
from plait.model.locality import Locality

Role = Literal["sidecar", "gateway", "waypoint"]


class Proxy(Struct, frozen=True, gc=False):
    """Two proxies that are equal but for `uid`, `name` and `addresses` get the same outbound configuration."""

    role: Role
    namespace: str
    name: str
    """Pod name."""
    uid: str = ""
    """Workload uid; "" when it is no workload of ours."""
    workload: str = ""
    """What its pod was made by (a Deployment, a Job), "" when by nobody."""
    workload_type: str = "pod"
    labels: Labels = ()
    service_account: str = "default"
    account_namespace: str = ""
    """Of a managed waypoint: the pool's, while `namespace` is its Gateway's, for whom it works; "" `namespace`."""
    addresses: tuple[str, ...] = ()
    node: str = ""
    network: str = ""
    cluster: str = wellknown.CLUSTER_ID
    locality: Locality = Locality()
    trust_domain: str = wellknown.DEFAULT_TRUST_DOMAIN
    transparent: bool = False
    """A sidecar that calls its application from the client's address."""
    uncaptured: bool = False
    """A sidecar to which nothing is redirected: applications connect to its listeners."""
    gateway: str = ""
    """Of a waypoint or a managed gateway: the Gateway API object "ns/name" it was made for."""

    @property
    def tags(self) -> Mapping[str, str]:
        return dict(self.labels)

    @property
    def identity(self) -> str:
        namespace = self.account_namespace or self.namespace
        return f"spiffe://{self.trust_domain}/ns/{namespace}/sa/{self.service_account}"
