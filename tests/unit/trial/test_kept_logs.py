"""Which lines of which proxies are told of a wrong answer, though the pod that wrote them has gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from plait.local.layout import Layout
from plait.trial.kept_logs import KeptLogs, told
from plait.trial.load import Lost

LINE = '2026-11-28T10:00:00.1Z stdout F [2026] "GET / HTTP/1.1" 503 UC "-" "mine-7" "stock" 10.1.2.3:15006'
OTHER = LINE.replace("mine-7", "mine-77")
NODE = '{"direction":"outbound","src.addr":"10.1.1.2:4711","flags":"UF"}'
KILLING = {
    "lastTimestamp": "2026-11-28T10:00:00Z",
    "involvedObject": {"kind": "Pod", "name": "stock-1"},
    "message": "Stopping container istio-proxy",
}


@pytest.fixture
async def logs(tmp_path: Path) -> KeptLogs:
    """One pod has written two lines, its node one."""
    pod = tmp_path / "nodes" / "node-1" / "pods" / "uid-1"
    (pod / "etc").mkdir(parents=True)
    (pod / "etc" / "hostname").write_text("stock-1\n")
    (pod / "logs" / "istio-proxy").mkdir(parents=True)
    (pod / "logs" / "istio-proxy" / "0.log").write_text(f"{LINE}\n{OTHER}\n")
    (tmp_path / "nodes" / "node-1" / "access.log").write_text(f"{NODE}\n")
    async with KeptLogs(Layout("m", tmp_path)) as logs:
        logs.link()
    shutil.rmtree(pod)
    return logs


async def test_lines_are_found_by_id_and_by_connection_after_the_pod_has_gone(logs: KeptLogs) -> None:
    (found,) = logs.find([Lost(1.0, "status 503", "mine-7", "10.1.1.2:4711")])
    assert found.lines == (f"stock-1: {LINE}", f"node-1: {NODE}")


async def test_a_log_that_was_turned_over_is_kept_beside_the_old_one(logs: KeptLogs, tmp_path: Path) -> None:
    pod = tmp_path / "nodes" / "node-1" / "pods" / "uid-1"
    for path in (pod / "etc", pod / "logs" / "istio-proxy"):
        path.mkdir(parents=True)
    (pod / "etc" / "hostname").write_text("stock-1\n")
    (pod / "logs" / "istio-proxy" / "0.log").write_text(f"{LINE}\n")
    logs.link()
    assert len(logs.find([Lost(1.0, "status 503", "mine-7")])[0].lines) == 2


async def test_what_happened_to_pods_just_before_is_told_and_nothing_from_long_before(logs: KeptLogs) -> None:
    logs.began = 1795860000.0 - 5.0  # KILLING was five seconds later
    near, far = logs.find([Lost(6.0, "status 503", "mine-7"), Lost(60.0, "status 503", "mine-8")], [KILLING])
    assert near.events == ("2026-11-28T10:00:00Z Pod stock-1: Stopping container istio-proxy",) and far.events == ()
    words = list(told([near, far], logs.began))
    assert words[0] == "status 503 at 10:00:01.000: request mine-7 from no connection"
    assert words[1].endswith(LINE) and words[2].endswith("Stopping container istio-proxy")
    assert words[-1] == "    no proxy wrote a line about it"
