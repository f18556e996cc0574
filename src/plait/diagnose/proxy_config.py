"""Envoy's own dump of its configuration -> the part that is asked for, whole or as rows for people. Keys never pass.

Pure: who asks Envoy is the node's agent. Rows show what istioctl's proxy-config shows, under our own column names.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from cryptography import x509

Document = dict[str, Any]
Rows = list[Document]
REDACTED: Final = "[redacted]"
_SECRET = frozenset(
    {
        "private_key",
        "private_key_provider",
        "password",
        "session_ticket_keys",
        "generic_secret",
        "hmac_secret",
        "token_secret",
        "pkcs12",
    }
)
PARTS: Final = {
    "bootstrap": "BootstrapConfigDump",
    "cluster": "ClustersConfigDump",
    "listener": "ListenersConfigDump",
    "route": "RoutesConfigDump",
    "endpoint": "",  # from Envoy's cluster status: what it balances over now
    "secret": "SecretsConfigDump",
    "ecds": "EcdsConfigDump",
}
"""By the word people use; the message of Envoy's admin API that holds it."""


def redacted(value: Any) -> Any:
    """Without anything that is a key. Envoy does this too; what leaves the node is not left to one hand."""
    if isinstance(value, dict):
        return {name: REDACTED if name in _SECRET else redacted(item) for name, item in value.items()}
    return [redacted(item) for item in value] if isinstance(value, list) else value


def documents(part: str, dump: Document, clusters: Document) -> list[Document]:
    """The resources of this part, as Envoy has them: static ones first, then those it was told."""
    if part == "endpoint":
        return list(clusters.get("cluster_statuses") or ())
    found = [each for each in dump.get("configs") or () if str(each.get("@type", "")).endswith(PARTS[part])]
    return [resource for each in found for resource in _RESOURCES[part](each)]


def _bootstrap(dump: Document) -> Iterator[Document]:
    yield dump.get("bootstrap") or {}


def _clusters(dump: Document) -> Iterator[Document]:
    for field in ("static_clusters", "dynamic_active_clusters", "dynamic_warming_clusters"):
        for each in dump.get(field) or ():
            yield each.get("cluster") or {}


def _listeners(dump: Document) -> Iterator[Document]:
    for each in dump.get("static_listeners") or ():
        yield each.get("listener") or {}
    for each in dump.get("dynamic_listeners") or ():
        state = each.get("active_state") or each.get("warming_state") or each.get("draining_state") or {}
        yield state.get("listener") or {"name": each.get("name", ""), "error_state": each.get("error_state")}


def _routes(dump: Document) -> Iterator[Document]:
    for field in ("static_route_configs", "dynamic_route_configs"):
        for each in dump.get(field) or ():
            yield each.get("route_config") or {}


def _secrets(dump: Document) -> Iterator[Document]:
    for field in ("static_secrets", "dynamic_active_secrets", "dynamic_warming_secrets"):
        for each in dump.get(field) or ():
            state = "WARMING" if "warming" in field else "ACTIVE"
            yield {"name": each.get("name", ""), "state": state, "secret": each.get("secret") or {}}


def _extensions(dump: Document) -> Iterator[Document]:
    for each in dump.get("ecds_filters") or ():
        yield {"version_info": each.get("version_info", ""), **(each.get("ecds_filter") or {})}


_RESOURCES: Mapping[str, Callable[[Document], Iterator[Document]]] = {
    "bootstrap": _bootstrap,
    "cluster": _clusters,
    "listener": _listeners,
    "route": _routes,
    "secret": _secrets,
    "ecds": _extensions,
}


def rows(part: str, found: Iterable[Document]) -> Rows:
    """One line for each thing that people look for."""
    return [row for each in found for row in _ROWS[part](each)]


def _bootstrap_rows(each: Document) -> Iterator[Document]:
    node, static = each.get("node") or {}, each.get("static_resources") or {}
    yield {
        "node": node.get("id", ""),
        "cluster": node.get("cluster", ""),
        "admin": _address((each.get("admin") or {}).get("address")),
        "static clusters": [c.get("name", "") for c in static.get("clusters") or ()],
        "static listeners": [c.get("name", "") for c in static.get("listeners") or ()],
    }


def _cluster_rows(each: Document) -> Iterator[Document]:
    direction, port, subset, host = _named(str(each.get("name", "")))
    kind = each.get("type") or (each.get("cluster_type") or {}).get("name") or "STATIC"
    yield {"host": host, "port": port, "subset": subset, "direction": direction, "type": kind}


def _named(name: str) -> tuple[str, str, str, str]:
    """Direction, port, subset and host of `outbound|80|v1|host`; a name of another form is the host."""
    parts = name.split("|")
    if len(parts) != 4:
        return "", "", "", name
    direction, port, subset, host = parts
    return direction, port, subset.partition("/")[2] if direction == "inbound-vip" else subset, host


def _listener_rows(each: Document) -> Iterator[Document]:
    chains = [*(each.get("filter_chains") or ()), *filter(None, [each.get("default_filter_chain")])]
    yield {
        "name": each.get("name", ""),
        "address": _address(each.get("address")) or ("internal" if "internal_listener" in each else ""),
        "namespace": _netns(each),
        "chains": len(chains),
        "filters": sorted({f.get("name", "").rpartition(".")[2] for c in chains for f in c.get("filters") or ()}),
        "error": (each.get("error_state") or {}).get("details", ""),
    }


def _netns(each: Document) -> str:
    socket = (each.get("address") or {}).get("socket_address") or {}
    return str(socket.get("network_namespace_filepath", "")).rpartition("/")[2]


def _route_rows(each: Document) -> Iterator[Document]:
    for host in each.get("virtual_hosts") or ():
        for route in host.get("routes") or ():
            yield {
                "name": each.get("name", ""),
                "virtual host": host.get("name", ""),
                "domains": host.get("domains") or [],
                "match": _match(route.get("match") or {}),
                "action": _action(route),
            }


def _match(match: Document) -> str:
    for field, sign in (("prefix", "*"), ("path", ""), ("path_separated_prefix", "/*")):
        if field in match:
            return f"{match[field]}{sign}" + (" and headers" if match.get("headers") else "")
    if "safe_regex" in match:
        return f"~{match['safe_regex'].get('regex', '')}"
    return "CONNECT" if "connect_matcher" in match else "*"


def _action(route: Document) -> str:
    if "redirect" in route:
        return "redirect"
    if "direct_response" in route:
        return f"answers {route['direct_response'].get('status', '')}"
    action = route.get("route") or {}
    if "weighted_clusters" in action:
        shares = action["weighted_clusters"].get("clusters") or ()
        return ", ".join(f"{each.get('name', '')} ({each.get('weight', 0)})" for each in shares)
    return str(action.get("cluster") or action.get("cluster_header") or "")


def _endpoint_rows(each: Document) -> Iterator[Document]:
    for host in each.get("host_statuses") or ():
        health = host.get("health_status") or {}
        good = health.get("eds_health_status", "HEALTHY") == "HEALTHY" and not health.get("failed_active_health_check")
        yield {
            "endpoint": _address(host.get("address")),
            "status": "HEALTHY" if good else str(health.get("eds_health_status", "UNHEALTHY")),
            "outlier": "EJECTED" if health.get("failed_outlier_check") else "OK",
            "cluster": each.get("name", ""),
        }


def _secret_rows(each: Document) -> Iterator[Document]:
    secret = each["secret"]
    chain = (secret.get("tls_certificate") or {}).get("certificate_chain")
    roots = (secret.get("validation_context") or {}).get("trusted_ca")
    kind = "certificate" if chain else "authorities" if roots else "other"
    certificate = _certificate(chain or roots)
    row = {"name": each["name"], "type": kind, "state": each["state"], "serial": "", "from": "", "until": ""}
    if certificate is not None:
        row["serial"] = f"{certificate.serial_number:x}"
        row["from"] = certificate.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
        row["until"] = certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    yield row


def _certificate(source: Any) -> x509.Certificate | None:
    """The first of a chain that stands in the document itself."""
    held = source if isinstance(source, dict) else {}
    pem = held["inline_string"].encode() if "inline_string" in held else base64.b64decode(held.get("inline_bytes", ""))
    try:
        return x509.load_pem_x509_certificate(pem) if pem else None
    except ValueError:
        return None


def _extension_rows(each: Document) -> Iterator[Document]:
    config = each.get("typed_config") or {}
    yield {"name": each.get("name", ""), "type": str(config.get("@type", "")).rpartition(".")[2]}


_ROWS: Mapping[str, Callable[[Document], Iterator[Document]]] = {
    "bootstrap": _bootstrap_rows,
    "cluster": _cluster_rows,
    "listener": _listener_rows,
    "route": _route_rows,
    "endpoint": _endpoint_rows,
    "secret": _secret_rows,
    "ecds": _extension_rows,
}


def _address(found: Any) -> str:
    address = found if isinstance(found, dict) else {}
    if "socket_address" in address:
        socket = address["socket_address"]
        return f"{socket.get('address', '')}:{socket.get('port_value', socket.get('named_port', ''))}"
    if "envoy_internal_address" in address:
        inside = address["envoy_internal_address"]
        return "/".join(filter(None, (inside.get("server_listener_name", ""), inside.get("endpoint_id", ""))))
    pipe: str = (address.get("pipe") or {}).get("path", "")
    return pipe
