"""Headless services: a connection goes to the pod that was dialed, not to whichever the balancing would choose.

Their clusters know each endpoint by its address (a subset of one); a connection's chain says which it is, a request is
told by the address it was sent to. Whoever dials something else, as a route from another host does, gets any of them.
"""

from __future__ import annotations

from typing import Final

from plait.envoy.pieces import Doc, extension

_NAMESPACE: Final = "envoy.lb"
_KEY: Final = "address"
_HEADER: Final = "x-plait-dialed"
_HTTP: Final = "envoy.extensions.filters.http"


def cluster() -> Doc:
    """One sick pod is all there is of its subset: the threshold of 1 % sends to it nevertheless, as it was dialed."""
    return {
        "common_lb_config": {"healthy_panic_threshold": {"value": 1}},
        "lb_subset_config": {
            "fallback_policy": "ANY_ENDPOINT",
            "subset_selectors": [{"keys": [_KEY]}],
            "list_as_any": True,
        },
    }


def endpoint(*addresses: str) -> Doc:
    """All addresses by which it may be dialed."""
    return {_NAMESPACE: {_KEY: addresses[0] if len(addresses) == 1 else list(addresses)}}


def connection(address: str) -> Doc:
    """Of a proxy of connections to this pod."""
    return {"metadata_match": {"filter_metadata": {_NAMESPACE: {_KEY: address}}}}


def requests() -> list[Doc]:
    """Filters that read the address a request was sent to; the header they hand it on in never leaves the proxy."""
    told = {"key": _HEADER, "value": "%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%"}
    kept = {"metadata_namespace": _NAMESPACE, "key": _KEY, "type": "STRING"}
    return [
        extension(
            "envoy.filters.http.header_mutation",
            f"{_HTTP}.header_mutation.v3.HeaderMutation",
            mutations={
                "request_mutations": [{"append": {"header": told, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}]
            },
        ),
        extension(
            "envoy.filters.http.header_to_metadata",
            f"{_HTTP}.header_to_metadata.v3.Config",
            request_rules=[{"header": _HEADER, "on_header_present": kept, "remove": True}],
        ),
    ]
