"""The wire contract of workload discovery, exact to the field number: packages istio.workload and istio.security."""

from __future__ import annotations

from typing import Any, Final

from plait.base import type_urls
from plait.base.descriptors import messages

ADDRESS_TYPE: Final = type_urls.ADDRESS
AUTHORIZATION_TYPE: Final = type_urls.AUTHORIZATION

_TABLES = {
    "istio.workload": {
        "Address": "workload=1:type|Workload service=2:type|Service",
        "Service": "name=1:string namespace=2:string hostname=3:string addresses=4:*NetworkAddress ports=5:*Port "
        "subject_alt_names=6:*string waypoint=7:GatewayAddress load_balancing=8:LoadBalancing ip_families=9:IPFamilies "
        "extensions=10:*Extension canonical=11:bool ingress_use_waypoint=12:bool "
        "weighted_waypoints=13:*WeightedWaypoint visibility=14:Visibility",
        "IPFamilies": "AUTOMATIC=0 IPV4_ONLY=1 IPV6_ONLY=2 DUAL=3",
        "Visibility": "PUBLIC=0 NAMESPACE=1",
        "LoadBalancing": "routing_preference=1:*LoadBalancingScope mode=2:LoadBalancingMode "
        "health_policy=3:LoadBalancingHealthPolicy",
        "LoadBalancingScope": "UNSPECIFIED=0 REGION=1 ZONE=2 SUBZONE=3 NODE=4 CLUSTER=5 NETWORK=6",
        "LoadBalancingMode": "UNSPECIFIED=0 STRICT=1 FAILOVER=2 PASSTHROUGH=3",
        "LoadBalancingHealthPolicy": "ONLY_HEALTHY=0 ALLOW_ALL=1",
        "Workload": "name=1:string namespace=2:string addresses=3:*bytes network=4:string "
        "tunnel_protocol=5:TunnelProtocol trust_domain=6:string service_account=7:string waypoint=8:GatewayAddress "
        "node=9:string canonical_name=10:string canonical_revision=11:string workload_type=12:WorkloadType "
        "workload_name=13:string native_tunnel=14:bool authorization_policies=16:*string status=17:WorkloadStatus "
        "cluster_id=18:string network_gateway=19:GatewayAddress uid=20:string hostname=21:string "
        "services=22:~PortList application_tunnel=23:ApplicationTunnel locality=24:Locality "
        "network_mode=25:NetworkMode extensions=26:*Extension capacity=27:google.protobuf.UInt32Value",
        "TunnelProtocol": "NONE=0 HBONE=1 LEGACY_ISTIO_MTLS=2",
        "WorkloadType": "DEPLOYMENT=0 CRONJOB=1 POD=2 JOB=3",
        "WorkloadStatus": "HEALTHY=0 UNHEALTHY=1",
        "NetworkMode": "STANDARD=0 HOST_NETWORK=1",
        "Locality": "region=1:string zone=2:string subzone=3:string",
        "PortList": "ports=1:*Port",
        "Port": "service_port=1:uint32 target_port=2:uint32 app_protocol=3:AppProtocol",
        "AppProtocol": "UNKNOWN=0 HTTP11=1 HTTP2=2 GRPC=3 TCP=4 TLS=5",
        "ApplicationTunnel": "protocol=1:ApplicationTunnelProtocol port=2:uint32",
        "ApplicationTunnelProtocol": "NONE=0 PROXY=1",
        "GatewayAddress": "hostname=1:destination|NamespacedHostname address=2:destination|NetworkAddress "
        "hbone_mtls_port=3:uint32",
        "WeightedWaypoint": "destination=1:GatewayAddress weight=2:uint32",
        "NetworkAddress": "network=1:string address=2:bytes length=3:?uint32",
        "NamespacedHostname": "namespace=1:string hostname=2:string",
        "Extension": "name=1:string config=2:google.protobuf.Any",
    },
    "istio.security": {
        "Authorization": "name=1:string namespace=2:string scope=3:Scope action=4:Action groups=5:*Group "
        "dry_run=6:bool extensions=7:*istio.workload.Extension",
        "Scope": "GLOBAL=0 NAMESPACE=1 WORKLOAD_SELECTOR=2",
        "Action": "ALLOW=0 DENY=1",
        "Group": "rules=1:*Rules",
        "Rules": "matches=2:*Match",
        "Match": "namespaces=1:*StringMatch not_namespaces=2:*StringMatch principals=3:*StringMatch "
        "not_principals=4:*StringMatch source_ips=5:*Address not_source_ips=6:*Address destination_ips=7:*Address "
        "not_destination_ips=8:*Address destination_ports=9:*uint32 not_destination_ports=10:*uint32 "
        "service_accounts=11:*ServiceAccountMatch not_service_accounts=12:*ServiceAccountMatch "
        "extensions=13:*istio.workload.Extension",
        "Address": "address=1:bytes length=2:uint32",
        "ServiceAccountMatch": "namespace=1:string serviceAccount=2:string",
        "StringMatch": "exact=1:match_type|string prefix=2:match_type|string suffix=3:match_type|string "
        "presence=4:match_type|google.protobuf.Empty",
    },
}
_CLASSES: dict[str, type[Any]] = messages(_TABLES)
Address = _CLASSES["istio.workload.Address"]
Authorization = _CLASSES["istio.security.Authorization"]

# Model word -> wire number, for every enum.
TUNNEL: Final = {"none": 0, "hbone": 1, "legacy": 2}
WORKLOAD_TYPE: Final = {"deployment": 0, "cronjob": 1, "pod": 2, "job": 3}
PROTOCOL: Final = {"": 0, "http11": 1, "http2": 2, "grpc": 3, "tcp": 4, "tls": 5}
FAMILIES: Final = {"": 0, "ipv4": 1, "ipv6": 2, "dual": 3}
SCOPE: Final = {"": 0, "region": 1, "zone": 2, "subzone": 3, "node": 4, "cluster": 5, "network": 6}
BALANCING: Final = {"": 0, "strict": 1, "failover": 2, "passthrough": 3}
TUNNELLED_APP: Final = {"none": 0, "proxy": 1}
REACH: Final = {"mesh": 0, "namespace": 1, "workload": 2}
ACTION: Final = {"allow": 0, "deny": 1}
