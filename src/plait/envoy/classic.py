"""Listeners of node-level capture: three for all pods, made of the chains that in-pod capture gives to each pod's own.

Whose traffic a connection is, the chain says: outbound by its source address, inbound by its destination. An address
without a chain gets nowhere. Only chains and matchers change when pods come and go, so nobody else is drained.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from plait.base.wellknown import CAPTURE_PROBE_IP, CAPTURE_PROBE_IP6, CLASSIC_LOCAL_MARK, CLASSIC_MARK
from plait.envoy import names, plaintext
from plait.envoy.listeners import ORIGINAL_DST, original_src, tcp_proxy
from plait.envoy.pieces import Doc, any_of, bound, cidr, extension
from plait.model.views.node import LocalPod, NodeView

NAMES = ("outbound", "hbone", "inbound")
_MARKS = (CLASSIC_LOCAL_MARK, CLASSIC_MARK, CLASSIC_MARK)
_INPUT = "envoy.extensions.matching.common_inputs.network.v3.DestinationIPInput"
_PER_POD = frozenset(
    {"name", "address", "additional_addresses", "filter_chains", "default_filter_chain", "filter_chain_matcher"}
)


def shared(listeners: list[list[Doc]], view: NodeView) -> Iterable[Doc]:
    """`listeners`: for each pod of the view its outbound, tunnel and plaintext listener."""
    if not listeners:
        return
    pairs = list(zip(view.local, listeners, strict=True))
    chains = (
        [_probe(view), *(one for pod, documents in pairs for one in _outbound(pod, documents[0]))],
        [one for pod, documents in pairs for one in _tunnels(pod, documents[1])],
        [_closed(), *(one for pod, documents in pairs for one in _plaintext(pod, documents[2]))],
    )
    for number, name in enumerate(NAMES):
        document = {key: value for key, value in listeners[0][number].items() if key not in _PER_POD}
        port = listeners[0][number]["address"]["socket_address"]["port_value"]
        source = [] if name == "hbone" else [original_src(_MARKS[number])]
        # A transparent socket answers for addresses that are not its own, which TPROXY hands to it.
        document |= {
            "name": name,
            **bound(_families(view), "127.0.0.1", "::1", port),
            "transparent": True,
            "listener_filters": [ORIGINAL_DST, *source],
            "filter_chains": chains[number],
        }
        if name == "inbound":
            document["filter_chain_matcher"] = _by_pod(view, [documents[2] for _, documents in pairs])
        yield document


def _addresses(pod: LocalPod) -> list[Doc]:
    return [cidr(address) for address in pod.addresses]


def _families(view: NodeView) -> tuple[str, ...]:
    """An address of each family that pods here may have: it must not change as they come and go."""
    return (CAPTURE_PROBE_IP, CAPTURE_PROBE_IP6) if view.dual else (CAPTURE_PROBE_IP,)


def _probe(view: NodeView) -> Doc:
    match = {"prefix_ranges": [cidr(address) for address in _families(view)]}
    return {"name": "probe", "filter_chain_match": match, "filters": [tcp_proxy("probe", names.BLACKHOLE, [])]}


def _closed() -> Doc:
    return {"name": plaintext.REFUSED, "filters": [tcp_proxy("refused", names.BLACKHOLE, [])]}


def _outbound(pod: LocalPod, document: Doc) -> Iterable[Doc]:
    for chain in (*document["filter_chains"], document["default_filter_chain"]):
        if chain["name"] != "probe":
            match = {**chain.get("filter_chain_match", {}), "source_prefix_ranges": _addresses(pod)}
            yield {**chain, "name": f"{chain['name']}|{pod.uid}", "filter_chain_match": match}


def _tunnels(pod: LocalPod, document: Doc) -> Iterable[Doc]:
    for chain in document["filter_chains"]:
        yield {**chain, "name": f"hbone|{pod.uid}", "filter_chain_match": {"prefix_ranges": _addresses(pod)}}


def _plaintext(pod: LocalPod, document: Doc) -> Iterable[Doc]:
    for chain in document["filter_chains"]:
        yield {**chain, "name": f"{chain['name']}|{pod.uid}"}


def _by_pod(view: NodeView, documents: list[Doc]) -> Doc:
    found: dict[str, Doc] = {}
    for pod, document in zip(view.local, documents, strict=True):
        for address in pod.addresses:
            found[address] = {"matcher": _renamed(document["filter_chain_matcher"], pod.uid)}
    return {
        "matcher_tree": {"input": extension("destination_ip", _INPUT), "exact_match_map": {"map": found}},
        "on_no_match": _to(plaintext.REFUSED),
    }


def _to(chain: str) -> Doc:
    return {"action": {"name": chain, "typed_config": any_of("google.protobuf.StringValue", value=chain)}}


def _renamed(part: Any, uid: str) -> Any:
    """The pod's matcher with its chains named as they are here."""
    if isinstance(part, list):
        return [_renamed(each, uid) for each in part]
    if not isinstance(part, dict):
        return part
    if "action" in part:
        return _to(f"{part['action']['name']}|{uid}")
    return {key: _renamed(value, uid) for key, value in part.items()}
