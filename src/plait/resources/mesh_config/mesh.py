"""MeshConfig: settings of the whole mesh, with Istio's defaults, and how its text is read.

Unlike the CRDs, this text is protojson: snake_case names are accepted beside camelCase.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeVar

import msgspec

from plait.resources import documents, structure
from plait.resources.markers import Duration, Model, camel
from plait.resources.mesh_config.providers import ExtensionProvider
from plait.resources.mesh_config.proxy import ProxyConfig
from plait.resources.meta import LabelSelector
from plait.resources.networking.destination_rule import ClientTlsSettings, OutlierDetection
from plait.resources.networking.traffic import (
    ConnectionPoolSettings,
    LocalityLoadBalancerSetting,
    TcpKeepalive,
    ZoneAwareLoadBalancerSetting,
)
from plait.resources.networking.virtual_service import HTTPRetry
from plait.resources.problems import Problem
from plait.resources.rules import mesh_config
from plait.resources.schema import schema_of_type


class OutboundTrafficPolicy(Model, frozen=True, kw_only=True):
    """What happens to traffic to unknown destinations."""

    mode: Literal["REGISTRY_ONLY", "ALLOW_ANY", "ALLOW_ANY_DYNAMIC_DNS"] = "ALLOW_ANY"
    tls: ClientTlsSettings | None = None


class InboundTrafficPolicy(Model, frozen=True, kw_only=True):
    """The address a sidecar calls its application at."""

    mode: Literal["PASSTHROUGH", "LOCALHOST"] = "PASSTHROUGH"


class ConfigSource(Model, frozen=True, kw_only=True):
    """A source of configuration."""

    address: str = ""
    tls_settings: ClientTlsSettings | None = None
    subscribed_resources: tuple[Literal["SERVICE_REGISTRY"], ...] = ()


class CertificateData(Model, frozen=True, kw_only=True):
    """Further root certificates, as PEM or by a SPIFFE bundle's address."""

    pem: str | None = None
    spiffe_bundle_url: str | None = None
    cert_signers: tuple[str, ...] = ()
    trust_domains: tuple[str, ...] = ()


class Certificate(Model, frozen=True, kw_only=True):
    """A certificate made for a control-plane component."""

    secret_name: str = ""
    dns_names: tuple[str, ...] = ()


class ClusterLocal(Model, frozen=True, kw_only=True):
    """Whether hosts stay in their cluster."""

    cluster_local: bool = False


class ServiceSettings(Model, frozen=True, kw_only=True):
    """Settings of hosts."""

    settings: ClusterLocal | None = None
    hosts: tuple[str, ...] = ()


class ServiceScopeConfigs(Model, frozen=True, kw_only=True):
    """Which services are seen by other clusters."""

    namespace_selector: LabelSelector | None = None
    services_selector: LabelSelector | None = None
    scope: Literal["LOCAL", "GLOBAL"] = "LOCAL"


class CertificateAuthority(Model, frozen=True, kw_only=True):
    """An external certificate authority."""

    address: str = ""
    tls_settings: ClientTlsSettings | None = None
    request_timeout: Duration | None = None
    istiod_side: bool = False


class DefaultProviders(Model, frozen=True, kw_only=True):
    """Providers used where Telemetry names none."""

    tracing: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    access_logging: tuple[str, ...] = ()


class ProxyPathNormalization(Model, frozen=True, kw_only=True):
    """How paths are made normal before they are matched."""

    normalization: Literal["DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"] = "DEFAULT"


class TLSConfig(Model, frozen=True, kw_only=True):
    """Versions and ciphers."""

    min_protocol_version: Literal["TLS_AUTO", "TLSV1_2", "TLSV1_3"] = "TLS_AUTO"
    ecdh_curves: tuple[str, ...] = ()
    cipher_suites: tuple[str, ...] = ()


class DefaultTrafficPolicy(Model, frozen=True, kw_only=True):
    """Pools and outlier detection where no DestinationRule says otherwise."""

    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None


Visibility = Literal["VISIBILITY_UNSPECIFIED", "NONE", "NAMESPACE", "PUBLIC"]


class VisibilityMatch(Model, frozen=True, kw_only=True):
    """Namespaces by label."""

    namespace_selector: LabelSelector | None = None


class VisibilityPolicy(Model, frozen=True, kw_only=True):
    """Visibility in some namespaces."""

    visibility: Visibility = "VISIBILITY_UNSPECIFIED"
    matching_rules: tuple[VisibilityMatch, ...] = ()


class ServiceEntryVisibility(Model, frozen=True, kw_only=True):
    """How far ServiceEntries are seen by default."""

    default_visibility: Visibility = "VISIBILITY_UNSPECIFIED"
    apply_to_sidecars: bool = False
    policies: tuple[VisibilityPolicy, ...] = ()


class MeshConfig(Model, frozen=True, kw_only=True):
    """Settings of the whole mesh."""

    proxy_listen_port: int = 15001
    proxy_inbound_listen_port: int = 15006
    proxy_http_port: int = 0
    connect_timeout: Duration = "10s"
    hbone_idle_timeout: Duration | None = None
    protocol_detection_timeout: Duration = "0s"
    tcp_keepalive: TcpKeepalive | None = None
    ingress_class: str = "istio"
    ingress_service: str = "istio-ingressgateway"
    ingress_controller_mode: Literal["UNSPECIFIED", "OFF", "DEFAULT", "STRICT"] = "STRICT"
    ingress_selector: str = ""
    enable_tracing: bool = True
    access_log_file: str = ""
    access_log_format: str = ""
    access_log_encoding: Literal["TEXT", "JSON"] = "TEXT"
    enable_envoy_access_log_service: bool = False
    disable_envoy_listener_log: bool = False
    default_config: ProxyConfig = ProxyConfig()
    outbound_traffic_policy: OutboundTrafficPolicy = OutboundTrafficPolicy()
    inbound_traffic_policy: InboundTrafficPolicy = InboundTrafficPolicy()
    config_sources: tuple[ConfigSource, ...] = ()
    enable_auto_mtls: bool | None = True
    trust_domain: str = "cluster.local"
    trust_domain_aliases: tuple[str, ...] = ()
    ca_certificates: tuple[CertificateData, ...] = ()
    default_service_export_to: tuple[str, ...] = ("*",)
    default_virtual_service_export_to: tuple[str, ...] = ("*",)
    default_destination_rule_export_to: tuple[str, ...] = ("*",)
    root_namespace: str = "istio-system"
    locality_lb_setting: LocalityLoadBalancerSetting | None = LocalityLoadBalancerSetting(enabled=True)
    zone_aware_lb_setting: ZoneAwareLoadBalancerSetting | None = None
    dns_refresh_rate: Duration = "60s"
    h2_upgrade_policy: Literal["DO_NOT_UPGRADE", "UPGRADE"] = "DO_NOT_UPGRADE"
    inbound_cluster_stat_name: str = ""
    outbound_cluster_stat_name: str = ""
    certificates: tuple[Certificate, ...] = ()
    service_settings: tuple[ServiceSettings, ...] = ()
    service_scope_configs: tuple[ServiceScopeConfigs, ...] = ()
    enable_prometheus_merge: bool | None = True
    verify_certificate_at_client: bool | None = None
    ca: CertificateAuthority | None = None
    extension_providers: tuple[ExtensionProvider, ...] = ()
    default_providers: DefaultProviders = DefaultProviders()
    discovery_selectors: tuple[LabelSelector, ...] = ()
    path_normalization: ProxyPathNormalization = ProxyPathNormalization()
    default_http_retry_policy: HTTPRetry | None = None
    mesh_mtls: TLSConfig | None = msgspec.field(default=None, name="meshMTLS")
    tls_defaults: TLSConfig | None = None
    default_traffic_policy: DefaultTrafficPolicy | None = None
    service_entry_visibility: ServiceEntryVisibility | None = None

    def provider(self, name: str) -> ExtensionProvider | None:
        """The extension provider of this name."""
        return next((each for each in self.extension_providers if each.name == name), None)


_Config = TypeVar("_Config", bound=Model)
_OPEN_MAPS = frozenset({"proxyMetadata", "runtimeValues", "labels", "customTags", "matchLabels"})


def read(text: str, source: str = "mesh") -> tuple[MeshConfig, tuple[Problem, ...]]:
    """The configuration of a text (the value of key `mesh` in ConfigMap istio); defaults where it is wrong."""
    config, problems = understood(text, source)
    return config or MeshConfig(), problems


def understood(text: str, source: str = "mesh") -> tuple[MeshConfig | None, tuple[Problem, ...]]:
    """As `read`; None for a text that is no mesh configuration at all."""
    found, _, problems = _read(text, source, MeshConfig)
    return found, problems


def overlaid(default: ProxyConfig, text: str, source: str) -> tuple[ProxyConfig, tuple[Problem, ...]]:
    """`default` with what a text (a pod's annotation proxy.istio.io/config) says instead, field by field."""
    found, said, problems = _read(text, source, ProxyConfig)
    if found is None:
        return default, problems
    names = {each.name for each in msgspec.structs.fields(ProxyConfig) if each.encode_name in said}
    return msgspec.structs.replace(default, **{name: getattr(found, name) for name in names}), problems


def _read(text: str, source: str, kind: type[_Config]) -> tuple[_Config | None, frozenset[str], tuple[Problem, ...]]:
    """The object, the names of its fields that the text has, and what is wrong. None: the text is none at all."""
    if not text.strip():
        return kind(), frozenset(), ()
    found, problems = documents.read(text, source)
    if not found:
        return None, frozenset(), tuple(problems)
    value = _camel_keys(found[0].document)
    schema = schema_of_type(kind)
    wrong = _problems(structure.check(value, schema, ""), kind, source)
    try:
        made = msgspec.convert(structure.trimmed(value, schema), kind)
    except msgspec.ValidationError:
        return None, frozenset(), (*problems, *wrong)
    said = frozenset(value)
    broken = mesh_config.mesh(made, said) if isinstance(made, MeshConfig) else mesh_config.proxy(made)
    return made, said, (*problems, *wrong, *_problems(broken, kind, source))


def _problems(found: Iterable[structure.Finding], kind: type[_Config], source: str) -> tuple[Problem, ...]:
    return tuple(Problem(each.code, "error", kind.__name__, "", source, each.path, each.message) for each in found)


def _camel_keys(value: Any) -> Any:
    if isinstance(value, list):
        return [_camel_keys(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        (name := "meshMTLS" if key == "mesh_mTLS" else camel(key)): item if name in _OPEN_MAPS else _camel_keys(item)
        for key, item in value.items()
    }
