"""`plait get`, `delete`, `logs` and `exec` as a user types them, against the real embedded API server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kit import apiserver
from plait.cli import connect, main, references
from plait.resources import kinds


def pod(name: str, app: str) -> dict[str, Any]:
    meta = {"name": name, "labels": {"app": app}}
    return {"metadata": meta, "spec": {"containers": [{"name": "c", "image": "x"}]}}


async def filled(cluster: apiserver.Cluster) -> None:
    http = cluster.http
    await http.create(kinds.NAMESPACE, {"metadata": {"name": "shop"}})
    for each in (pod("web-1", "web"), pod("web-2", "web"), pod("job-1", "job")):
        await http.create(kinds.POD, each, "shop")
        phase = "Pending" if each["metadata"]["name"] == "web-1" else "Running"
        await http.patch(
            kinds.POD, each["metadata"]["name"], {"status": {"phase": phase}}, "shop", subresource="status"
        )
    service = {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}], "selector": {"app": "web"}}}
    await http.create(kinds.SERVICE, service, "shop")
    bare = {"metadata": {"name": "bare"}, "spec": {"ports": [{"port": 80}]}}
    await http.create(kinds.SERVICE, bare, "shop")


async def test_as_a_user_types_it(capsys: pytest.CaptureFixture[str]) -> None:
    async with apiserver.running() as cluster:
        await filled(cluster)

        async def plait(*words: str) -> tuple[int, str, str]:
            code = await asyncio.to_thread(main.main, [*words, "--kubeconfig", str(cluster.kubeconfig)])
            said = capsys.readouterr()
            return code, said.out, said.err

        assert await plait("get", "pods", "-n", "shop", "-l", "app=web", "-o", "name") == (
            0,
            "pod/web-1\npod/web-2\n",
            "",
        )
        code, table, _ = await plait("get", "po,svc", "-n", "shop")
        assert code == 0 and [line.split()[0] for line in table.splitlines()[1:]] == [
            *("pod/job-1", "pod/web-1", "pod/web-2", "service/bare", "service/web")
        ]
        assert (await plait("get", "all", "-n", "shop", "-o", "name"))[1].count("\n") == 5
        assert (await plait("get", "pod/web-1", "svc/web", "-n", "shop", "-o", "name"))[1] == "pod/web-1\nservice/web\n"
        assert "web-1" in (await plait("get", "pods", "-A", "-o", "wide"))[1]
        code, out, err = await plait("get", "pods")
        assert (code, out) == (0, "") and "no pods in namespace default; -A looks in all" in err
        code, out, err = await plait("get", "pod", "nope", "-n", "shop")
        assert (code, err) == (1, 'Error: pods "nope" not found in namespace shop\n')
        assert (await plait("get", "pods", "-o", "tabel"))[0] == 2
        assert "not both" in (await plait("get", "pods", "svc/web"))[2]
        assert "no kind 'podz'; did you mean pods" in (await plait("get", "podz"))[2]
        assert (await plait("delete", "pod/job-1", "-n", "shop"))[1] == "Pod/job-1 deleted\n"
        assert "name a pod, or labels" in (await plait("logs"))[2]
        assert "it instead of -l" in (await plait("logs", "-f", "-l", "app=web"))[2]
        code, _, err = await plait("logs", "deployment/nope", "-n", "shop")
        assert (code, err) == (1, 'Error: deployments.apps "nope" not found in namespace shop\n')


async def test_pods_are_found_by_what_has_them_and_who_runs_comes_first() -> None:
    async with apiserver.running() as cluster:
        await filled(cluster)
        http = cluster.http
        assert await references.pods(http, "shop", "anything") == ["anything"]
        assert await references.pods(http, "shop", "po/web-1") == ["web-1"]
        assert await references.pods(http, "shop", "svc/web") == ["web-2", "web-1"]
        assert await references.pods(http, "shop", labels="app=job") == ["job-1"]
        with pytest.raises(Exception, match="selects no pods"):
            await references.pods(http, "shop", "service/bare")
        with pytest.raises(connect.NoMesh, match="no pod in namespace shop"):
            await references.pods(http, "shop", labels="app=none")
