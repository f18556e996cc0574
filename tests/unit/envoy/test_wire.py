"""Documents to bytes: as protobuf itself would write them, and errors that name the field."""

from __future__ import annotations

import pytest
from google.protobuf import json_format

from plait.envoy import bootstrap, clusters, names, wire
from plait.envoy.descriptors import message_class, pool

CLUSTER = "envoy.config.cluster.v3.Cluster"
WELL_KNOWN = {
    "name": "n",
    "connect_timeout": "0.25s",
    "metadata": {"filter_metadata": {"b": {"x": [1, True, None, {"y": "z"}]}, "a": {"k": -1.5}}},
    "lb_subset_config": {"subset_selectors": [{"keys": ["k"]}], "list_as_any": False},
    "per_connection_buffer_limit_bytes": 0,
    "typed_extension_protocol_options": {
        "any": {"@type": "type.googleapis.com/google.protobuf.Struct", "value": {"k": "v"}},
        "text": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "v"},
    },
}


def by_protobuf(type_name: str, document: dict[str, object]) -> bytes:
    message = json_format.ParseDict(document, message_class(type_name)(), descriptor_pool=pool())
    return bytes(message.SerializeToString(deterministic=True))


@pytest.mark.parametrize(
    ("type_name", "document"),
    [
        (CLUSTER, WELL_KNOWN),
        (CLUSTER, {}),
        *[(CLUSTER, document) for document in clusters.shared()],
        (
            "envoy.config.bootstrap.v3.Bootstrap",
            bootstrap.bootstrap(bootstrap.NodeBootstrap("n", "/x.sock", "/a.sock", metadata={"NAME": "n"})),
        ),
    ],
)
def test_bytes_are_those_of_protobufs_own_deterministic_encoder(type_name: str, document: dict[str, object]) -> None:
    assert wire.encode(type_name, document) == by_protobuf(type_name, document)


def test_the_order_of_keys_in_a_document_does_not_change_its_bytes() -> None:
    backwards = dict(reversed(WELL_KNOWN.items()))
    assert wire.encode(CLUSTER, WELL_KNOWN) == wire.encode(CLUSTER, backwards)


def test_camel_case_is_read_as_well() -> None:
    assert wire.encode(CLUSTER, {"connectTimeout": "1s"}) == wire.encode(CLUSTER, {"connect_timeout": "1s"})


BLACKHOLE = {"load_assignment": {"endpoints": [{"lb_endpoints": [{"endpoint": {"adress": {}}}]}]}}
TYPED = {"transport_socket": {"name": "x", "typed_config": {"@type": "type.googleapis.com/no.such.Type"}}}


@pytest.mark.parametrize(
    ("document", "path", "words"),
    [
        ({"nam": "x"}, f"{CLUSTER}.nam", "has no field 'nam'"),
        (BLACKHOLE, f"{CLUSTER}.load_assignment.endpoints[0].lb_endpoints[0].endpoint.adress", "has no field"),
        ({"type": "STATICK"}, f"{CLUSTER}.type", "is not one of STATIC"),
        ({"connect_timeout": 5}, f"{CLUSTER}.connect_timeout", "want a duration"),
        ({"name": 5}, f"{CLUSTER}.name", "want a string"),
        ({"cleanup_interval": {}}, f"{CLUSTER}.cleanup_interval", "want a duration"),
        ({"per_connection_buffer_limit_bytes": -1}, f"{CLUSTER}.per_connection_buffer_limit_bytes", "outside"),
        ({"load_assignment": []}, f"{CLUSTER}.load_assignment", "want an object"),
        (TYPED, f"{CLUSTER}.transport_socket.typed_config", "no such message type"),
        ({"type": "STATIC", "cluster_type": {}}, f"{CLUSTER}.cluster_type", "exclude each other"),
    ],
)
def test_a_field_that_does_not_fit_is_refused_with_its_path(document: dict[str, object], path: str, words: str) -> None:
    with pytest.raises(wire.WireError) as caught:
        wire.encode(CLUSTER, document)
    assert caught.value.path == path
    assert words in str(caught.value)


def test_equal_documents_are_one_resource_and_different_ones_have_different_versions() -> None:
    first, again = (wire.resource(names.CLUSTER, "a", {"name": "a"}) for _ in range(2))
    other = wire.resource(names.CLUSTER, "a", {"name": "a", "connect_timeout": "1s"})
    assert first is again
    assert first.version != other.version
