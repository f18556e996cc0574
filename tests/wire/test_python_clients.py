"""The two Python clients people use, unmodified, against the embedded API server."""

from __future__ import annotations

import asyncio
from typing import Any

import kubernetes
import pytest
from lightkube import AsyncClient, KubeConfig
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import ConfigMap

from kit import apiserver


async def test_the_official_client_lists_creates_patches_watches_and_deletes(cluster: apiserver.Cluster) -> None:
    def work() -> list[tuple[str, Any]]:
        configuration = kubernetes.client.Configuration()
        kubernetes.config.load_kube_config(str(cluster.kubeconfig), client_configuration=configuration)
        with kubernetes.client.ApiClient(configuration) as client:
            core = kubernetes.client.CoreV1Api(client)
            version = core.list_namespaced_config_map("default").metadata.resource_version
            core.create_namespaced_config_map("default", {"metadata": {"name": "a"}, "data": {"k": "1"}})
            core.patch_namespaced_config_map("a", "default", {"data": {"k": "2"}})
            core.delete_namespaced_config_map("a", "default")
            watch = kubernetes.watch.Watch()
            follow = core.list_namespaced_config_map
            stream = watch.stream(follow, "default", resource_version=version, timeout_seconds=2)
            seen = [(event["type"], event["object"].data) for event in stream]
            with pytest.raises(kubernetes.client.ApiException) as caught:
                core.read_namespaced_config_map("a", "default")
            assert caught.value.status == 404
            return seen

    assert await asyncio.to_thread(work) == [("ADDED", {"k": "1"}), ("MODIFIED", {"k": "2"}), ("DELETED", {"k": "2"})]


async def test_lightkube_applies_server_side_and_reads_back(cluster: apiserver.Cluster) -> None:
    client = AsyncClient(config=KubeConfig.from_file(cluster.kubeconfig), field_manager="lightkube")
    try:
        wanted = ConfigMap(metadata=ObjectMeta(name="a", namespace="default"), data={"k": "v"})
        await client.apply(wanted)
        await client.apply(wanted)
        found = [item async for item in client.list(ConfigMap, namespace="default")]
        assert [item.data for item in found] == [{"k": "v"}]
        await client.delete(ConfigMap, "a", namespace="default")
    finally:
        await client.close()
