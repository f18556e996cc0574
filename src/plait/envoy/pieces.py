"""The smallest repeated shapes of Envoy's configuration: a typed extension, an address, a filter state object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

import orjson

from plait.base.type_urls import PREFIX
from plait.base.wellknown import PROXY_MARK

Doc = dict[str, Any]


class Constant(dict[str, Any]):
    """A part of documents that is the same in many of them and never changes: encoded once for each type it is of."""

    __slots__ = ("known", "secrets")

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__(document)
        self.known: dict[str, bytes] = {}
        self.secrets: frozenset[str] | None = None
        """Names of those that it mentions, once somebody has looked."""


_shared: dict[bytes, Constant] = {}
_MOST: Final = 10_000


def shared(document: Doc) -> Doc:
    """The same Constant for all documents that are equal: filters and logs of a thousand chains are a few."""
    key = orjson.dumps(document)
    if (known := _shared.get(key)) is None:
        if len(_shared) >= _MOST:
            _shared.clear()
        known = _shared[key] = Constant(document)
    return known


ADS: Final[Doc] = Constant({"ads": {}, "resource_api_version": "V3"})
UNLIMITED: Final[Doc] = Constant(
    {
        "thresholds": [
            {
                "max_connections": 4294967295,
                "max_pending_requests": 4294967295,
                "max_requests": 4294967295,
                "max_retries": 4294967295,
            }
        ]
    }
)


HTTP1: Final[Doc] = Constant({"enable_trailers": True})
"""HTTP/1.1 on either side of a proxy. By default Envoy drops trailers, which bytes through the mesh would not lose."""


STALLED: Final = "15s"
"""How long a client may take for a TLS handshake (Istio's number), and for a request's head from its first byte."""


def secured(socket: Doc) -> Doc:
    """The side of a filter chain that speaks TLS. Who begins a handshake and never ends it is not waited for."""
    return {"transport_socket": socket, "transport_socket_connect_timeout": STALLED}


def any_of(type_name: str, /, **fields: Any) -> Doc:
    """A `typed_config`."""
    return {"@type": PREFIX + type_name, **fields}


def extension(name: str, type_name: str, /, **fields: Any) -> Doc:
    """A named extension with its configuration."""
    return {"name": name, "typed_config": any_of(type_name, **fields)}


def socket_address(address: str, port: int, netns: str = "") -> Doc:
    document: Doc = {"address": address, "port_value": port}
    if netns:
        document["network_namespace_filepath"] = netns
    return {"socket_address": document}


def bound(addresses: Iterable[str], ipv4: str, ipv6: str, port: int, netns: str = "") -> Doc:
    """Where a listener is bound: in the family of each of these addresses (a pod's)."""
    document: Doc = {"address": socket_address(ipv4, port, netns)}
    if any(":" in address for address in addresses):
        document["additional_addresses"] = [{"address": socket_address(ipv6, port, netns)}]
    return document


def lookup_family(addresses: Iterable[str]) -> str:
    """As what names are looked up by a proxy with these addresses."""
    return "V6_ONLY" if (own := tuple(addresses)) and all(":" in address for address in own) else "V4_PREFERRED"


def cidr(text: str) -> Doc:
    address, _, length = text.partition("/")
    return {"address_prefix": address, "prefix_len": int(length or (128 if ":" in address else 32))}


def state(key: str, value: str, factory: str, shared: str = "TRANSITIVE", *, optional: bool = False) -> Doc:
    """One filter state object; `optional` ones are left out where their value is empty."""
    document: Doc = {
        "object_key": key,
        "format_string": {"text_format_source": {"inline_string": value}},
        "factory_key": factory,
        "shared_with_upstream": shared,
    }
    if optional:
        document["format_string"]["omit_empty_values"] = True
        document["skip_if_empty"] = True
    return document


@cache
def bind_inside_pod(mark: int = PROXY_MARK, *, dual: bool = False) -> Doc:
    """Upstream sockets open in the network namespace that the connection's filter state names, and carry our mark.

    The source address must be present, though any, or Envoy never asks the selector; where there are addresses of IPv6
    (`dual`), one of that family too. This mark wins over the one that the source-preserving filters set.
    """
    more = {"extra_source_addresses": [{"address": {"address": "::", "port_value": 0}}]} if dual else {}
    return Constant(
        {
            "source_address": {"address": "0.0.0.0", "port_value": 0},
            **more,
            "local_address_selector": extension(
                "envoy.upstream.local_address_selector.filter_state_override",
                "envoy.extensions.local_address_selectors.filter_state_override.v3.Config",
            ),
            "socket_options": [
                {"description": "SO_MARK", "level": 1, "name": 36, "int_value": mark, "state": "STATE_PREBIND"}
            ],
        }
    )
