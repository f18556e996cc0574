"""Names of Envoy's own statistics, so that a page has Istio's labels: names with dots end in `;`, and tags end there.

Without them Envoy takes `outbound|80||web` for the cluster's name, and the rest of the host name becomes the metric's.
"""

from __future__ import annotations

from typing import Final

from plait.envoy.pieces import Doc

_END: Final = ";"
_DELIMITED: Final = r"((.+?);\.)"
_TAGS: Final = (
    ("cluster_name", rf"^cluster\.{_DELIMITED}"),
    ("cluster_name", r"^cluster\.(([^.;|]+)\.)"),  # those every proxy has, and an EnvoyFilter's
    ("http_conn_manager_prefix", rf"^http\.{_DELIMITED}"),
    ("http_conn_manager_prefix", r"^http\.(([a-z_-]+)\.)"),
    ("http_conn_manager_listener_prefix", rf"^listener\..+?\.http\.{_DELIMITED}"),
    ("http_conn_manager_listener_prefix", r"^listener\..+?\.http\.(([a-z_-]+)\.)"),
    ("listener_address", r"^listener\.((\d+(?:\.\d+){3}_\d+|[^.]+)\.)"),
    ("rds_route_config", r"^http\..+?\.rds\.((.+)\.)\w+$"),
    ("local_http_ratelimit_prefix", r"^((limit\..+?)\.)http_local_rate_limit\."),
    *((f"{kind}_prefix", rf"^{kind}\.{_DELIMITED}") for kind in ("tcp", "redis", "mongo", "thrift", "dubbo")),
    ("response_code", r"_rq(_(\d{3}))$"),
    ("response_code_class", r"_rq(_(\dxx))$"),
)
_OF_ENVOY: Final = (
    *("envoy.rbac_prefix", "envoy.rbac_http_prefix", "envoy.rbac_policy_name", "envoy.ext_authz_prefix"),
    *("envoy.ratelimit_prefix", "envoy.local_network_ratelimit_prefix"),
    *("envoy.connection_limit_prefix", "envoy.virtual_host", "envoy.virtual_cluster"),
    *("envoy.ssl_cipher", "envoy.ssl_version", "envoy.worker_id", "envoy.xds_resource_name"),
)
"""Tags that are right as Envoy has them."""


def delimited(name: str) -> str:
    """A name in a statistic: it may have dots."""
    return name + _END


def config() -> Doc:
    """`stats_config` of a bootstrap."""
    own = [{"tag_name": name, "regex": regex} for name, regex in _TAGS]
    return {"use_all_default_tags": False, "stats_tags": [*own, *({"tag_name": name} for name in _OF_ENVOY)]}
