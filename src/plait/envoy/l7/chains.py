"""Which filter chain takes a connection: matching trees by authority, address, port, server name and protocol."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from plait.base.wellknown import TPROXY_MARK
from plait.envoy.pieces import Doc, cidr, extension

_NETWORK: Final = "envoy.extensions.matching.common_inputs.network.v3"
HTTP_PROTOCOLS: Final = ("http/1.0", "http/1.1", "h2c")
HTTP_INSPECTOR: Final = extension(
    "envoy.filters.listener.http_inspector", "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"
)
TLS_INSPECTOR: Final = extension(
    "envoy.filters.listener.tls_inspector", "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
)
ORIGINAL_DST: Final = extension(
    "envoy.filters.listener.original_dst", "envoy.extensions.filters.listener.original_dst.v3.OriginalDst"
)

ORIGINAL_SRC: Final = extension(
    "envoy.filters.listener.original_src",
    "envoy.extensions.filters.listener.original_src.v3.OriginalSrc",
    mark=TPROXY_MARK,
)
"""The application is called from the client's address; by its mark the answer finds the proxy."""


def chain(name: str) -> Doc:
    """The end of a tree: this chain."""
    value = {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": name}
    return {"action": {"name": name, "typed_config": value}}


def tree(matcher: Doc) -> Doc:
    """A tree inside a tree."""
    return {"matcher": matcher}


def by_port(ports: Mapping[int, Doc], otherwise: Doc | None = None) -> Doc:
    entries = {str(port): found for port, found in ports.items()}
    return _exact("port", "DestinationPortInput", entries, otherwise)


def by_protocol(http: str, otherwise: Doc) -> Doc:
    """HTTP by its first bytes to `http`; the input prints what it found in quotes."""
    entries = {f"'{protocol}'": chain(http) for protocol in HTTP_PROTOCOLS}
    return _exact("protocol", "ApplicationProtocolInput", entries, otherwise)


def by_authority(key: str, names: Mapping[str, Doc], otherwise: Doc | None) -> Doc:
    matcher = _exact("authority", "FilterStateInput", names, otherwise)
    if names:
        matcher["matcher_tree"]["input"]["typed_config"]["key"] = key
    return matcher


def by_address(ranges: Iterable[tuple[tuple[str, ...], Doc]], otherwise: Doc | None = None) -> Doc:
    """The narrowest range decides."""
    entries = [{"ranges": [cidr(block) for block in blocks], "on_match": found} for blocks, found in ranges if blocks]
    custom = {
        "@type": "type.googleapis.com/xds.type.matcher.v3.IPMatcher",
        "range_matchers": entries,
    }
    found: Doc = {
        "matcher_tree": {
            "input": extension("ip", f"{_NETWORK}.DestinationIPInput"),
            "custom_match": {"name": "ip", "typed_config": custom},
        }
    }
    if not entries:
        return otherwise["matcher"] if otherwise and "matcher" in otherwise else nothing()
    return {**found, **({"on_no_match": otherwise} if otherwise else {})}


def by_caller(key: str, namespaces: Iterable[tuple[str, Doc]], otherwise: Doc) -> Doc:
    """By the namespace of who calls: `key` is where his identity stands."""
    said = extension("caller", f"{_NETWORK}.FilterStateInput", key=key)
    matchers = [
        {
            "predicate": {"single_predicate": {"input": said, "value_match": {"safe_regex": _of_namespace(name)}}},
            "on_match": found,
        }
        for name, found in namespaces
    ]
    return {"matcher_list": {"matchers": matchers}, "on_no_match": otherwise}


def _of_namespace(name: str) -> Doc:
    return {"google_re2": {}, "regex": f"spiffe://[^/]+/ns/{re.escape(name)}/sa/.+"}


def by_server_name(names: Iterable[tuple[tuple[str, ...], Doc]], otherwise: Doc) -> Doc:
    """The first that fits; `*.x` is every name under x."""
    matchers = []
    for wanted, found in names:
        predicates = [_name(name) for name in wanted]
        if predicates:
            either = {"or_matcher": {"predicate": predicates}} if len(predicates) > 1 else predicates[0]
            matchers.append({"predicate": either, "on_match": found})
    return {"matcher_list": {"matchers": matchers}, "on_no_match": otherwise}


def _name(name: str) -> Doc:
    value = {"suffix": name[1:]} if name.startswith("*") else {"exact": name}
    return {"single_predicate": {"input": extension("sni", f"{_NETWORK}.ServerNameInput"), "value_match": value}}


def nothing() -> Doc:
    """A tree without a leaf: every connection is closed."""
    return by_port({1: chain("none")})


def _exact(name: str, kind: str, entries: Mapping[str, Doc], otherwise: Doc | None) -> Doc:
    if not entries:
        return otherwise["matcher"] if otherwise and "matcher" in otherwise else nothing()
    found: Doc = {
        "matcher_tree": {"input": extension(name, f"{_NETWORK}.{kind}"), "exact_match_map": {"map": dict(entries)}}
    }
    return {**found, **({"on_no_match": otherwise} if otherwise else {})}
