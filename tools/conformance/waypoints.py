"""Prints the mesh suite's namespaces, each with a waypoint: its Gateway, Service and pod.

    waypoints.py FOLDER      FOLDER holds the L7 proxies' folders of the mesh: <home>/<mesh>/proxies

The pod and the Service are written here because no controller makes them from the Gateway yet.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from plait.resources.proxy_container import container, volume

NAMESPACES = ("gateway-conformance-mesh", "gateway-conformance-mesh-consumer")
OF_GATEWAY = {"gateway.networking.k8s.io/gateway-name": "waypoint"}


def documents(folder: str) -> Iterator[dict[str, Any]]:
    for namespace in NAMESPACES:
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        place = {"name": "waypoint", "namespace": namespace}
        yield {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {**place, "labels": {"istio.io/waypoint-for": "service"}},
            "spec": {
                "gatewayClassName": "istio-waypoint",
                "listeners": [{"name": "mesh", "port": 15008, "protocol": "HBONE"}],
            },
        }
        yield {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {**place, "labels": OF_GATEWAY},
            "spec": {"selector": OF_GATEWAY, "ports": [{"name": "hbone", "port": 15008}]},
        }
        labels = {
            **OF_GATEWAY,
            "gateway.istio.io/managed": "istio.io-mesh-controller",
            "istio.io/dataplane-mode": "none",
        }
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**place, "labels": labels},
            "spec": {"containers": [container()], "volumes": [volume(folder)]},
        }


if __name__ == "__main__":
    print("\n---\n".join(json.dumps(each) for each in documents(sys.argv[1])))
