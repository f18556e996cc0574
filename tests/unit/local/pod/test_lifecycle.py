"""Playbooks of the pod lifecycle: facts in, commands out, at times the test chooses."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plait.local.pod import status as podstatus
from plait.local.pod.lifecycle import Finished, Lifecycle, Start, Stop, restart_delay


def pod(*containers: dict[str, Any], init: tuple[dict[str, Any], ...] = (), **spec: Any) -> dict[str, Any]:
    named = [{"name": "main"}] if not containers else list(containers)
    return {"metadata": {"name": "p", "uid": "u"}, "spec": {"containers": named, "initContainers": list(init), **spec}}


def started(machine: Lifecycle, name: str, at: float = 0.0) -> None:
    machine.started(name, f"id-{name}", at)


def test_init_containers_run_one_after_the_other_before_the_main_one() -> None:
    machine = Lifecycle(pod(init=({"name": "a"}, {"name": "b"})))
    assert machine.step(0) == [Start("a", 0)]
    started(machine, "a")
    assert machine.step(1) == []
    machine.exited("a", 0, 0, 2)
    assert machine.step(2) == [Start("b", 0)]
    started(machine, "b", 2)
    machine.exited("b", 0, 0, 3)
    assert machine.step(3) == [Start("main", 0)]
    assert machine.initialized


def test_a_sidecar_holds_back_the_rest_only_until_its_startup_probe_passes() -> None:
    machine = Lifecycle(pod(init=({"name": "s", "restartPolicy": "Always", "startupProbe": {"tcpSocket": {}}},)))
    assert machine.step(0) == [Start("s", 0)]
    started(machine, "s")
    assert machine.step(1) == []
    assert machine.probes_wanted() == {("s", 0, "startup")}
    machine.probed("s", "startup", True)
    assert machine.step(2) == [Start("main", 0)]


def test_sidecars_stop_after_the_main_containers_last_one_first() -> None:
    sidecars = ({"name": "s1", "restartPolicy": "Always"}, {"name": "s2", "restartPolicy": "Always"})
    machine = Lifecycle(pod(init=sidecars))
    for name in ("s1", "s2", "main"):
        assert Start(name, 0) in machine.step(0)
        started(machine, name)
    machine.terminated(5)
    assert machine.step(1) == [Stop("main", 5)]
    machine.exited("main", 143, 15, 2)
    assert machine.step(2) == [Stop("s2", 5)]
    machine.exited("s2", 143, 15, 3)
    assert machine.step(3) == [Stop("s1", 5)]
    machine.exited("s1", 143, 15, 4)
    assert machine.step(4) == [Finished()]
    assert machine.step(5) == []


def test_the_next_container_starts_when_the_hook_of_the_one_before_has_ended() -> None:
    first = {"name": "proxy", "lifecycle": {"postStart": {"exec": {"command": ["wait"]}}}}
    machine = Lifecycle(pod(first, {"name": "app"}))
    assert machine.step(0.0) == [Start("proxy", 0)]
    machine.started("proxy", "p", 0.0)
    assert machine.step(1.0) == []
    machine.hooked("proxy")
    assert machine.step(2.0) == [Start("app", 0)]
    machine.started("app", "a", 2.0)
    machine.exited("proxy", 1, 0, 3.0)
    assert [each for each in machine.step(60.0) if isinstance(each, Start)] == [Start("proxy", 1)], "app runs on"


def test_a_container_whose_hook_failed_does_not_hold_the_next_one() -> None:
    first = {"name": "proxy", "lifecycle": {"postStart": {"exec": {"command": ["wait"]}}}}
    machine = Lifecycle(pod(first, {"name": "app"}))
    machine.step(0.0)
    machine.started("proxy", "p", 0.0)
    machine.exited("proxy", 137, 9, 1.0)
    assert Start("app", 0) in machine.step(1.0)


def test_a_crashing_container_waits_longer_each_time() -> None:
    machine = Lifecycle(pod())
    assert machine.step(0) == [Start("main", 0)]
    waits, now = [], 0.0
    for attempt in range(1, 8):
        started(machine, "main", now)
        machine.exited("main", 1, 0, now)
        commands = machine.step(now)
        if not commands:
            assert machine.containers["main"].reason == "CrashLoopBackOff"
            assert machine.wake_at is not None
            waits.append(machine.wake_at - now)
            now = machine.wake_at
            commands = machine.step(now)
        assert commands == [Start("main", attempt)]
    assert waits == [10, 20, 40, 80, 160, 300]


def test_a_long_run_forgives_earlier_crashes() -> None:
    machine = Lifecycle(pod())
    machine.step(0)
    for _ in range(4):
        started(machine, "main", 0)
        machine.exited("main", 1, 0, 0)
        machine.step(10_000)
    started(machine, "main", 10_000)
    machine.exited("main", 1, 0, 10_601)
    assert machine.step(10_601) == [Start("main", 5)]


def test_restart_policy_decides_what_an_end_means() -> None:
    table = [
        ("Always", 0, [Start("main", 1)], "Running"),
        ("OnFailure", 0, [Finished()], "Succeeded"),
        ("OnFailure", 1, [Start("main", 1)], "Running"),
        ("Never", 0, [Finished()], "Succeeded"),
        ("Never", 1, [Finished()], "Failed"),
    ]
    for policy, code, commands, phase in table:
        machine = Lifecycle(pod(restartPolicy=policy))
        machine.step(0)
        started(machine, "main")
        machine.exited("main", code, 0, 1)
        assert machine.step(1) == commands, (policy, code)
        assert machine.phase == phase, (policy, code)


def test_a_failed_init_container_fails_a_pod_that_never_restarts() -> None:
    machine = Lifecycle(pod(init=({"name": "i"},), restartPolicy="Never"))
    machine.step(0)
    started(machine, "i")
    machine.exited("i", 3, 0, 1)
    assert machine.step(1) == [Finished()]
    assert machine.phase == "Failed"


def test_a_job_pod_ends_though_its_sidecar_would_run_for_ever() -> None:
    machine = Lifecycle(pod(init=({"name": "s", "restartPolicy": "Always"},), restartPolicy="Never"))
    machine.step(0)
    started(machine, "s")
    machine.step(0)
    started(machine, "main")
    machine.exited("main", 0, 0, 1)
    assert [type(c) for c in machine.step(1)] == [Stop]
    machine.exited("s", 143, 15, 2)
    assert machine.step(2) == [Finished()]
    assert machine.phase == "Succeeded"


def test_liveness_failures_kill_and_readiness_failures_only_steer() -> None:
    probes = {"livenessProbe": {"failureThreshold": 2}, "readinessProbe": {"successThreshold": 2}}
    machine = Lifecycle(pod({"name": "main", **probes}))
    machine.step(0)
    started(machine, "main")
    assert not machine.containers["main"].ready
    machine.probed("main", "readiness", True)
    assert not machine.containers["main"].ready
    machine.probed("main", "readiness", True)
    assert machine.containers["main"].ready
    for _ in range(3):
        machine.probed("main", "readiness", False)
    assert not machine.containers["main"].ready
    assert machine.step(1) == []
    machine.probed("main", "liveness", False)
    assert machine.step(1) == []
    machine.probed("main", "liveness", False)
    assert machine.step(1) == [Stop("main", 30.0)]
    assert machine.step(1) == []


def test_a_second_shorter_grace_stops_again() -> None:
    machine = Lifecycle(pod())
    machine.step(0)
    started(machine, "main")
    machine.terminated(30)
    assert machine.step(1) == [Stop("main", 30)]
    machine.terminated(30)
    assert machine.step(1) == []
    machine.terminated(0)
    assert machine.step(2) == [Stop("main", 0)]


def test_a_refused_container_waits_with_its_reason_and_counts_no_restart() -> None:
    machine = Lifecycle(pod())
    machine.step(0)
    machine.refused("main", "ErrImagePull", "no such image", 0)
    assert machine.step(0) == []
    status = podstatus.compose(machine, pod(), podstatus.Place(("1.1.1.1",), (), 0), 0)
    assert status["phase"] == "Pending"
    assert status["containerStatuses"][0]["state"] == {
        "waiting": {"reason": "ErrImagePull", "message": "no such image"}
    }
    assert machine.wake_at is not None
    assert machine.step(machine.wake_at) == [Start("main", 0)]


def test_the_active_deadline_fails_the_pod() -> None:
    machine = Lifecycle(pod(activeDeadlineSeconds=10))
    machine.started_at = 100
    machine.step(100)
    started(machine, "main", 100)
    machine.step(101)
    assert machine.wake_at == 110
    assert machine.step(110) == [Stop("main", 30.0)]
    machine.exited("main", 143, 15, 111)
    assert machine.step(111) == [Finished()]
    assert machine.phase == "Failed"


def test_an_open_readiness_gate_keeps_the_pod_from_ready_but_not_its_containers() -> None:
    document = pod(readinessGates=[{"conditionType": "mesh"}])
    machine = Lifecycle(document)
    machine.step(0)
    started(machine, "main")
    place = podstatus.Place(("1.1.1.1",), ("2.2.2.2",), 0)

    def conditions() -> dict[str, str]:
        status = podstatus.compose(machine, document, place, 0)
        return {c["type"]: c["status"] for c in status["conditions"]}

    assert (conditions()["ContainersReady"], conditions()["Ready"]) == ("True", "False")
    document["status"] = {"conditions": [{"type": "mesh", "status": "True"}]}
    assert conditions()["Ready"] == "True"
    assert conditions()["mesh"] == "True"


def test_a_condition_keeps_its_transition_time_while_it_stays() -> None:
    document = pod()
    machine = Lifecycle(document)
    machine.step(0)
    started(machine, "main")
    place = podstatus.Place(("1.1.1.1",), ("2.2.2.2",), 0)
    document["status"] = podstatus.compose(machine, document, place, 100)
    assert podstatus.compose(machine, document, place, 200) == document["status"]


@given(st.integers(0, 1000), st.floats(0.001, 100), st.floats(100, 1000))
def test_back_off_never_shrinks_and_never_passes_its_limit(failures: int, base: float, most: float) -> None:
    assert restart_delay(failures, base, most) <= restart_delay(failures + 1, base, most) <= most


def test_a_container_of_a_former_kubelet_stays_ready_until_its_probe_says_otherwise() -> None:
    pod: dict[str, Any] = {
        "metadata": {"name": "p", "namespace": "n", "uid": "u"},
        "spec": {"containers": [{"name": "c", "readinessProbe": {"failureThreshold": 1}}]},
    }
    lifecycle = Lifecycle(pod)
    lifecycle.started("c", "id", 1.0)
    assert not lifecycle.containers["c"].ready
    lifecycle.adopted("c", started=True, ready=True)
    assert lifecycle.containers["c"].ready
    lifecycle.probed("c", "readiness", False)
    assert not lifecycle.containers["c"].ready
