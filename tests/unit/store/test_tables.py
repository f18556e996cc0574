"""What `kubectl get` prints: the row of each kind from a document as controllers write it, -o wide apart."""

from __future__ import annotations

from typing import Any

import pytest

from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.store import columns, tables
from plait.store.api import Document

NOW = 1767225600.0  # 2026-01-01T00:00:00Z
MADE = "2025-12-31T23:55:00Z"
RUNNING = {"running": {"startedAt": MADE}}
TEMPLATE: Document = {"spec": {"containers": [{"name": "c", "image": "web:1"}, {"name": "d", "image": "log:2"}]}}
SELECTOR: Document = {"matchLabels": {"app": "web"}}


def row(kind: Kind, document: Document, *, given: list[Document] | None = None) -> tuple[list[Any], list[Any]]:
    """Cells without the name: those always shown, and those of -o wide."""
    whole = {"metadata": {"name": "x", "creationTimestamp": MADE}, **document}
    found = tables.table(kind, [whole], now=NOW, columns=given)
    shown = list(zip(found["columnDefinitions"], found["rows"][0]["cells"], strict=True))[1:]
    return [c for d, c in shown if d["priority"] == 0], [c for d, c in shown if d["priority"]]


def pod(status: Document, **meta: Any) -> Document:
    return {
        "metadata": {"name": "x", "creationTimestamp": MADE, **meta},
        "spec": {"nodeName": "n1", "containers": TEMPLATE["spec"]["containers"], "initContainers": [{"name": "i"}]},
        "status": {"phase": "Running", "podIP": "10.0.0.5", **status},
    }


def containers(*states: Document, **fields: Any) -> Document:
    return {"containerStatuses": [{"ready": "running" in state, "state": state, **fields} for state in states]}


@pytest.mark.parametrize(
    ("document", "shown"),
    [
        (pod(containers(RUNNING, RUNNING)), ["2/2", "Running", "0", "5m"]),
        (pod({"phase": "Pending"}), ["0/2", "Pending", "0", "5m"]),
        (pod(containers({"waiting": {"reason": "CrashLoopBackOff"}})), ["0/2", "CrashLoopBackOff", "0", "5m"]),
        (pod(containers({"terminated": {"exitCode": 3}})), ["0/2", "ExitCode:3", "0", "5m"]),
        (pod(containers({"terminated": {"exitCode": 0, "reason": "Completed"}})), ["0/2", "Completed", "0", "5m"]),
        (pod({"phase": "Failed", "reason": "Evicted"}), ["0/2", "Evicted", "0", "5m"]),
        (pod({"initContainerStatuses": [{"state": RUNNING}]}), ["0/2", "Init:0/1", "0", "5m"]),
        (
            pod({"initContainerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull"}}}]}),
            ["0/2", "Init:ErrImagePull", "0", "5m"],
        ),
        (
            pod(
                containers(RUNNING, restartCount=2, lastState={"terminated": {"finishedAt": "2025-12-31T23:59:00Z"}}),
                deletionTimestamp=MADE,
            ),
            ["1/2", "Terminating", "2 (60s ago)", "5m"],
        ),
    ],
)
def test_a_pods_row_tells_what_its_containers_do(document: Document, shown: list[Any]) -> None:
    assert row(kinds.POD, document) == (shown, ["10.0.0.5", "n1", "<none>", "<none>"])


NODE: Document = {
    "metadata": {
        "name": "n1",
        "creationTimestamp": MADE,
        "labels": {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/edge": ""},
    },
    "spec": {"unschedulable": True},
    "status": {
        "conditions": [{"type": "Ready", "status": "True"}],
        "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
        "nodeInfo": {
            "kubeletVersion": "v1",
            "osImage": "Debian",
            "kernelVersion": "6.1",
            "containerRuntimeVersion": "plait",
        },
    },
}


@pytest.mark.parametrize(
    ("kind", "document", "shown", "wide"),
    [
        (
            kinds.DEPLOYMENT,
            {
                "spec": {"replicas": 3, "selector": SELECTOR, "template": TEMPLATE},
                "status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1},
            },
            ["2/3", 3, 1, "5m"],
            ["c,d", "web:1,log:2", "app=web"],
        ),
        (
            kinds.REPLICA_SET,
            {"spec": {"replicas": 3, "selector": SELECTOR, "template": TEMPLATE}, "status": {"replicas": 2}},
            [3, 2, 0, "5m"],
            ["c,d", "web:1,log:2", "app=web"],
        ),
        (
            kinds.DAEMON_SET,
            {
                "spec": {"selector": SELECTOR, "template": TEMPLATE},
                "status": {"desiredNumberScheduled": 2, "currentNumberScheduled": 2, "numberReady": 1},
            },
            [2, 2, 1, 0, 0, "<none>", "5m"],
            ["c,d", "web:1,log:2", "app=web"],
        ),
        (
            kinds.JOB,
            {
                "spec": {"completions": 2, "selector": SELECTOR, "template": TEMPLATE},
                "status": {
                    "succeeded": 2,
                    "startTime": MADE,
                    "completionTime": "2025-12-31T23:56:10Z",
                    "conditions": [{"type": "Complete", "status": "True"}],
                },
            },
            ["Complete", "2/2", "70s", "5m"],
            ["c,d", "web:1,log:2", "app=web"],
        ),
        (
            kinds.SERVICE,
            {
                "spec": {
                    "type": "LoadBalancer",
                    "clusterIP": "10.1.0.1",
                    "selector": {"app": "web"},
                    "ports": [{"port": 80, "nodePort": 30080}, {"port": 53, "protocol": "UDP"}],
                }
            },
            ["LoadBalancer", "10.1.0.1", "<pending>", "80:30080/TCP,53/UDP", "5m"],
            ["app=web"],
        ),
        (
            kinds.SERVICE,
            {"spec": {"type": "ExternalName", "externalName": "a.example"}},
            ["ExternalName", "<none>", "a.example", "<none>", "5m"],
            ["<none>"],
        ),
        (
            kinds.NODE,
            NODE,
            ["Ready,SchedulingDisabled", "edge,worker", "5m", "v1"],
            ["10.0.0.1", "<none>", "Debian", "6.1", "plait"],
        ),
        (kinds.NAMESPACE, {"status": {"phase": "Terminating"}}, ["Terminating", "5m"], []),
        (kinds.CONFIG_MAP, {"data": {"a": "1"}, "binaryData": {"b": ""}}, [2, "5m"], []),
        (kinds.SECRET, {"type": "Opaque", "data": {"a": "MQ=="}}, ["Opaque", 1, "5m"], []),
        (kinds.SERVICE_ACCOUNT, {}, [0, "5m"], []),
        (kinds.LEASE, {"spec": {"holderIdentity": "me"}}, ["me", "5m"], []),
        (
            kinds.ENDPOINT_SLICE,
            {
                "addressType": "IPv4",
                "ports": [{"port": 80}],
                "endpoints": [{"addresses": [f"10.0.0.{i}"]} for i in range(5)],
            },
            ["IPv4", "80", "10.0.0.0,10.0.0.1,10.0.0.2 + 2 more...", "5m"],
            [],
        ),
        (
            kinds.ENDPOINTS,
            {"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]},
            ["10.0.0.1:80", "5m"],
            [],
        ),
        (
            kinds.EVENT,
            {
                "type": "Warning",
                "reason": "Failed",
                "message": "no\n",
                "lastTimestamp": MADE,
                "involvedObject": {"kind": "Pod", "name": "p"},
            },
            ["5m", "Warning", "Failed", "pod/p", "no"],
            [],
        ),
        (kinds.MUTATING_WEBHOOK, {"webhooks": [{}, {}]}, [2, "5m"], []),
        (kinds.CRD, {}, [MADE], []),
        (kinds.ROLE_BINDING, {"roleRef": {"kind": "Role", "name": "r"}}, ["Role/r", "5m"], []),
    ],
)
def test_each_kind_has_the_columns_users_know(
    kind: Kind, document: Document, shown: list[Any], wide: list[Any]
) -> None:
    assert row(kind, document) == (shown, wide)


@pytest.mark.parametrize(
    ("path", "type", "cell"),
    [
        (".spec.size", "integer", 3),
        (".spec.missing", "string", None),
        (".spec.parts[0].id", "string", "a"),
        (".spec.parts[-1].id", "string", "b"),
        (".spec.parts[9].id", "string", None),
        (".spec.parts[*].id", "string", "[a b]"),
        ('.spec.conditions[?(@.type=="Ready")].status', "string", "True"),
        (r".metadata.labels.example\.org/tier", "string", "front"),
        (".metadata.labels['example.org/tier']", "string", "front"),
        ("{.spec.size}", "integer", 3),
        (".metadata.creationTimestamp", "date", "5m"),
    ],
)
def test_a_column_of_a_definition_is_found_by_its_path(path: str, type: str, cell: Any) -> None:
    document: Document = {
        "metadata": {"name": "x", "creationTimestamp": MADE, "labels": {"example.org/tier": "front"}},
        "spec": {
            "size": 3,
            "parts": [{"id": "a"}, {"id": "b"}],
            "conditions": [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}],
        },
    }
    given = [{"name": "C", "type": type, "jsonPath": path}]
    assert row(kinds.POD, document, given=given) == ([cell], [])


def test_a_document_of_no_shape_does_not_hide_the_list() -> None:
    for kind in kinds.ALL:
        odd = {"metadata": {"name": "odd"}, "spec": 7, "status": [], "roleRef": None, "subsets": 1, "endpoints": "x"}
        found = tables.table(kind, [odd, {"metadata": {"name": "fine"}}], now=NOW)
        assert [each["cells"][0] for each in found["rows"]] == ["odd", "fine"], kind


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (185, "3m5s"),
        (660, "11m"),
        (3 * 3600 + 60, "3h1m"),
        (30 * 3600, "30h"),
        (3 * 86400 + 3600, "3d1h"),
        (400 * 86400, "400d"),
        (800 * 86400, "2y70d"),
        (-10, "<invalid>"),
    ],
)
def test_ages_are_shortened_like_kubectls(seconds: float, text: str) -> None:
    assert columns.duration(seconds) == text
