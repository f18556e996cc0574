"""The Node and Lease documents of one local node: what it offers and how it is reached."""

from __future__ import annotations

import os
import platform
import time

from plait.local.addresses import AddressPlan
from plait.local.layout import Layout
from plait.store.api import Document

KUBELET_SOCKET = "plait.dev/kubelet-socket"
MAX_PODS = 250


def node_document(
    name: str, layout: Layout, plan: AddressPlan, index: int, now: float, labels: dict[str, str]
) -> Document:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024
    capacity = {"cpu": str(os.cpu_count() or 1), "memory": f"{memory}Ki", "pods": str(MAX_PODS)}
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    ranges = [*map(str, plan.each(plan.pods(index)))]

    def condition(kind: str, status: str, reason: str, message: str) -> Document:
        return {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": moment,
            "lastTransitionTime": moment,
        }

    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": machine,
                **labels,
            },
            "annotations": {KUBELET_SOCKET: str(layout.kubelet_socket(name))},
        },
        "spec": {"podCIDR": ranges[0], "podCIDRs": ranges},
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "addresses": [
                *({"type": "InternalIP", "address": str(each)} for each in plan.addresses(plan.node(index))),
                {"type": "Hostname", "address": name},
            ],
            "conditions": [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory", ""),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure", ""),
                condition("PIDPressure", "False", "KubeletHasSufficientPID", ""),
                condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
            ],
            "nodeInfo": {
                "architecture": machine,
                "operatingSystem": "linux",
                "kernelVersion": platform.release(),
                "osImage": "Plait local runtime",
                "containerRuntimeVersion": "plait://0.1",
                "kubeletVersion": "v1.34.0",
                "kubeProxyVersion": "",
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
            },
        },
    }


def lease_document(name: str, seconds: int, now: float) -> Document:
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1_000_000):06d}Z"
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": "kube-node-lease"},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": seconds, "renewTime": moment},
    }
