"""Delta discovery on the wire: bytes to `Request` and `Response` values and back. It never looks into a resource."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from sys import intern
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError

from plait.base.bundle import Resource
from plait.base.descriptors import messages

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
METHOD = "DeltaAggregatedResources"

_TABLES = {
    "google.rpc": {"Status": "code=1:int32 message=2:string details=3:*google.protobuf.Any"},
    "envoy.config.core.v3": {
        "Locality": "region=1:string zone=2:string sub_zone=3:string",
        "Node": "id=1:string cluster=2:string metadata=3:google.protobuf.Struct locality=4:Locality "
        "user_agent_name=6:string user_agent_version=7:string",
    },
    "envoy.service.discovery.v3": {
        "Resource": "version=1:string resource=2:google.protobuf.Any name=3:string aliases=4:*string",
        "DeltaDiscoveryRequest": "node=1:envoy.config.core.v3.Node type_url=2:string "
        "resource_names_subscribe=3:*string resource_names_unsubscribe=4:*string initial_resource_versions=5:~string "
        "response_nonce=6:string error_detail=7:google.rpc.Status",
        "DeltaDiscoveryResponse": "system_version_info=1:string resources=2:*Resource type_url=4:string "
        "nonce=5:string removed_resources=6:*string",
    },
}
_CLASSES = messages(_TABLES)
_Request = _CLASSES["envoy.service.discovery.v3.DeltaDiscoveryRequest"]
_Response = _CLASSES["envoy.service.discovery.v3.DeltaDiscoveryResponse"]


class Malformed(ValueError):
    """Bytes that are no discovery message."""


@dataclass(frozen=True, slots=True)
class Node:
    """Who asks, as it says itself (never trusted for authorization)."""

    id: str = ""
    cluster: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """One DeltaDiscoveryRequest. `error` is the message of a refusal (NACK), None where nothing was refused."""

    type_url: str
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    nonce: str = ""
    error: str | None = None
    node: Node | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """One DeltaDiscoveryResponse."""

    type_url: str
    nonce: str
    resources: tuple[Resource, ...] = ()
    removed: tuple[str, ...] = ()


def read_request(data: bytes) -> Request:
    message = _parsed(_Request, data)
    node = None
    if message.HasField("node"):
        sent = message.node
        node = Node(sent.id, sent.cluster, json_format.MessageToDict(sent.metadata))
    return Request(
        type_url=message.type_url,
        subscribe=tuple(message.resource_names_subscribe),
        unsubscribe=tuple(message.resource_names_unsubscribe),
        versions=dict(message.initial_resource_versions),
        nonce=message.response_nonce,
        error=message.error_detail.message or "refused" if message.HasField("error_detail") else None,
        node=node,
    )


def write_request(request: Request) -> bytes:
    message = _Request(
        type_url=request.type_url,
        resource_names_subscribe=request.subscribe,
        resource_names_unsubscribe=request.unsubscribe,
        initial_resource_versions=request.versions,
        response_nonce=request.nonce,
    )
    if request.error is not None:
        message.error_detail.code = 3  # INVALID_ARGUMENT
        message.error_detail.message = request.error
    if request.node is not None:
        message.node.id, message.node.cluster = request.node.id, request.node.cluster
        message.node.metadata.update(dict(request.node.metadata))
    return bytes(message.SerializeToString())


def read_response(data: bytes) -> Response:
    message = _parsed(_Response, data)
    return Response(
        type_url=message.type_url,
        nonce=message.nonce,
        resources=tuple(
            Resource(intern(r.name), r.version, r.resource.value, tuple(r.aliases)) for r in message.resources
        ),
        removed=tuple(message.removed_resources),
    )


def write_response(response: Response) -> bytes:
    message = _Response(type_url=response.type_url, nonce=response.nonce, removed_resources=response.removed)
    for resource in response.resources:
        entry = message.resources.add(name=resource.name, version=resource.version, aliases=resource.aliases)
        entry.resource.type_url, entry.resource.value = response.type_url, resource.value
    return bytes(message.SerializeToString())


def _parsed(kind: type[Any], data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise Malformed(f"not a {kind.DESCRIPTOR.name}: {error}") from error
