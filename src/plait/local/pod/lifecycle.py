"""What should happen to a pod's containers next? A sans-IO machine: facts in, commands out, no clock of its own.

Init containers in order, native sidecars, restart policy with back-off, probe verdicts, graceful end in order. The
driver (`worker`) obeys `step()` and reports what happened; `status` writes the machine's state as a PodStatus.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from plait.local.pod.probing import KINDS, ProbeKind, ProbeState
from plait.store.api import Document

Role = Literal["init", "sidecar", "main"]
Stage = Literal["waiting", "starting", "running", "stopping", "exited"]
BACKOFF_BASE, BACKOFF_MOST = 10.0, 300.0
DEFAULT_GRACE = 30


def restart_delay(failures: int, base: float = BACKOFF_BASE, most: float = BACKOFF_MOST) -> float:
    """Seconds between an end and the next start: none after the first, then 10 s doubling to five minutes."""
    if failures <= 1:
        return 0.0
    return min(most, base * 2.0 ** min(failures - 2, 60))


@dataclass(frozen=True, slots=True)
class Start:
    name: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Stop:
    """SIGTERM after the preStop hook, SIGKILL after `grace` seconds in all."""

    name: str
    grace: float


@dataclass(frozen=True, slots=True)
class Finished:
    """No process is left and none will be started: the pod's resources may go when the pod goes."""


Command = Start | Stop | Finished


@dataclass(frozen=True, slots=True)
class Ending:
    """How one run of a container ended."""

    code: int
    signal: int
    started_at: float
    finished_at: float
    id: str
    reason: str
    message: str = ""


@dataclass
class Container:
    """One container of the pod. `attempt` counts starts from 0, so it is the restart count once it ran."""

    spec: Document
    role: Role
    stage: Stage = "waiting"
    attempt: int = 0
    reason: str = "PodInitializing"
    message: str = ""
    id: str = ""
    started_at: float = 0.0
    not_before: float = 0.0
    failures: int = 0  # ends since it last ran for long
    refusals: int = 0
    hooked: bool = False  # its postStart hook has ended, of the present attempt
    ending: Ending | None = None  # of the present attempt
    previous: Ending | None = None
    probes: dict[ProbeKind, ProbeState] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def alive(self) -> bool:
        return self.stage in ("starting", "running", "stopping")

    @property
    def holding(self) -> bool:
        """The containers after it wait for its first postStart hook."""
        first = self.previous is None and self.alive and not self.hooked
        return first and "postStart" in (self.spec.get("lifecycle") or {})

    @property
    def started(self) -> bool:
        """Running and past its startup probe: what the next init container waits for."""
        return self.stage in ("running", "stopping") and self._passed("startup")

    @property
    def ready(self) -> bool:
        if self.role == "init":
            return self.ending is not None and self.ending.code == 0
        return self.started and self.stage == "running" and self._passed("readiness")

    def _passed(self, kind: ProbeKind) -> bool:
        return kind not in self.probes or self.probes[kind].verdict


class Lifecycle:
    """One pod. Report facts with the methods named by a past participle, then obey `step(now)`."""

    def __init__(self, pod: Document, *, backoff_base: float = BACKOFF_BASE, backoff_most: float = BACKOFF_MOST):
        spec = pod["spec"]
        self.policy: str = spec.get("restartPolicy", "Always")
        self.grace = float(spec.get("terminationGracePeriodSeconds", DEFAULT_GRACE))
        self.deadline = spec.get("activeDeadlineSeconds")
        self.started_at = 0.0  # of the pod: when the kubelet first saw it
        self.terminating = False
        self.failure: tuple[str, str] | None = None  # reason, message of a pod that is failed as a whole
        self.wake_at: float | None = None
        self._base, self._most = backoff_base, backoff_most
        self._done = False
        self.containers: dict[str, Container] = {}
        for document in spec.get("initContainers") or ():
            role: Role = "sidecar" if document.get("restartPolicy") == "Always" else "init"
            self.containers[document["name"]] = Container(document, role)
        first = "PodInitializing" if self.containers else "ContainerCreating"
        for document in spec["containers"]:
            self.containers[document["name"]] = Container(document, "main", reason=first)

    # --- facts

    def started(self, name: str, id: str, at: float) -> None:
        container = self.containers[name]
        container.stage = "stopping" if container.stage == "stopping" else "running"
        container.id, container.started_at, container.reason, container.message = id, at, "", ""
        container.probes = {
            kind: ProbeState.of(kind, spec) for kind in KINDS if (spec := container.spec.get(kind + "Probe"))
        }

    def adopted(self, name: str, *, started: bool, ready: bool) -> None:
        """It ran under a former kubelet, whose verdicts stand until its probes say otherwise: no traffic is lost."""
        verdicts: dict[ProbeKind, bool] = {"startup": started, "readiness": ready}
        for kind, probe in self.containers[name].probes.items():
            probe.verdict = verdicts.get(kind, probe.verdict)

    def refused(self, name: str, reason: str, message: str, at: float) -> None:
        """It could not be created (no such image, a missing ConfigMap); tried again later, not counted as a restart."""
        container = self.containers[name]
        container.stage, container.reason, container.message = "waiting", reason, message
        container.refusals += 1
        container.not_before = at + min(self._base, restart_delay(container.refusals + 1, self._base / 8, self._most))

    def exited(
        self, name: str, code: int, signal: int, at: float, *, reason: str = "", message: str = "", id: str = ""
    ) -> None:
        container = self.containers[name]
        began = container.started_at if container.stage in ("running", "stopping") else at
        why = reason or ("Completed" if code == 0 else "Error")
        container.ending = Ending(code, signal, began, at, id or container.id, why, message)
        container.stage, container.probes, container.reason, container.message = "exited", {}, "", ""
        if at - began > 2 * self._most:
            container.failures = 0
        container.failures += 1
        container.not_before = at + restart_delay(container.failures, self._base, self._most)

    def hooked(self, name: str) -> None:
        """The postStart hook has ended, or it was run by a kubelet before us."""
        self.containers[name].hooked = True

    def probed(self, name: str, kind: ProbeKind, ok: bool) -> None:
        if (state := self.containers[name].probes.get(kind)) is not None:
            state.count(ok)

    def restored(self, name: str, attempt: int, previous: Ending | None) -> None:
        """After a restart of the kubelet: this container has been started `attempt` times before its present run."""
        container = self.containers[name]
        container.attempt, container.previous, container.failures = attempt, previous, min(attempt, 6)

    def terminated(self, grace: float | None) -> None:
        """The pod is being deleted. A later, shorter grace wins."""
        if grace is None or (self.terminating and grace >= self.grace):
            self.terminating = True
            return
        if self.terminating:
            for container in self.containers.values():
                container.stage = "running" if container.stage == "stopping" else container.stage
        self.terminating, self.grace = True, grace

    def failed(self, reason: str, message: str) -> None:
        """Fail the pod as a whole: everything is stopped and nothing restarts."""
        self.failure = self.failure or (reason, message)

    # --- views

    def of(self, *roles: Role) -> list[Container]:
        return [c for c in self.containers.values() if c.role in roles]

    @property
    def initialized(self) -> bool:
        return all(
            c.ready if c.role == "init" else c.started or c.previous or c.ending for c in self.of("init", "sidecar")
        )

    @property
    def complete(self) -> bool:
        """Nothing of the pod's own work will run again."""
        if self.failure is not None:
            return not any(c.alive for c in self.of("init", "main"))
        if any(self._lost_init(c) for c in self.of("init")):
            return not any(c.alive for c in self.of("main"))
        return all(c.stage == "exited" and not self._restarts(c) for c in self.of("main"))

    @property
    def phase(self) -> str:
        if self.failure is not None:
            return "Failed" if self.complete else "Running"
        if self.complete:
            good = all(c.ending is not None and c.ending.code == 0 for c in self.of("main"))
            return "Succeeded" if good else "Failed"
        begun = any(c.alive or c.ending or c.previous for c in self.of("main"))
        waiting_first = any(
            c.stage in ("waiting", "starting") and not c.previous and not c.ending for c in self.of("main")
        )
        return "Running" if begun and not waiting_first else "Pending"

    def probes_wanted(self) -> set[tuple[str, int, ProbeKind]]:
        """Which probes should be running now: startup first, the others once it has passed; none while stopping."""
        wanted: set[tuple[str, int, ProbeKind]] = set()
        for container in self.containers.values():
            if container.stage != "running" or (self.terminating and container.role != "sidecar"):
                continue
            for kind, state in container.probes.items():
                if (kind == "startup") != container.started and not state.gave_up:
                    wanted.add((container.name, container.attempt, kind))
        return wanted

    # --- decisions

    def step(self, now: float) -> list[Command]:
        """What to do now. Calling again without news gives nothing new; `wake_at` says when time alone changes that."""
        self.wake_at = None
        commands: list[Command] = []
        if self.deadline is not None and self.started_at and not self.complete:
            over = self.started_at + float(self.deadline)
            if now >= over:
                self.failed("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
            else:
                self._wake(over)
        if self.terminating or self.failure is not None or self.complete:
            commands.extend(self._wind_down())
        else:
            commands.extend(self._forward(now))
            commands.extend(self._kill_unhealthy())
        return commands

    def _forward(self, now: float) -> Iterator[Command]:
        for container in self.of("init", "sidecar"):
            if container.role == "init":
                if container.ready:
                    continue
                yield from self._start(container, now)
                return
            yield from self._start(container, now)
            if not container.started and not (container.previous or container.ending):
                return  # a sidecar that once was up does not hold back the rest while it restarts
        for container in self.of("main"):
            yield from self._start(container, now)
            if container.holding:
                return

    def _start(self, container: Container, now: float) -> Iterator[Command]:
        if container.alive or (container.stage == "exited" and not self._restarts(container)):
            return
        if now < container.not_before:
            self._wake(container.not_before)
            if container.stage == "exited" and not container.message:
                left = container.not_before - (container.ending.finished_at if container.ending else now)
                container.reason = "CrashLoopBackOff"
                container.message = f"back-off {left:g}s restarting failed container={container.name}"
            return
        if container.stage == "exited":
            container.attempt += 1
            container.previous, container.ending = container.ending, None
        container.stage, container.reason, container.message = "starting", "ContainerCreating", ""
        container.hooked = False
        yield Start(container.name, container.attempt)

    def _kill_unhealthy(self) -> Iterator[Command]:
        for container in self.containers.values():
            if container.stage != "running":
                continue
            for kind in ("startup", "liveness"):
                state = container.probes.get(kind)
                if state is not None and state.gave_up:
                    own = container.spec[kind + "Probe"].get("terminationGracePeriodSeconds")
                    container.stage = "stopping"
                    yield Stop(container.name, float(own) if own is not None else self.grace)
                    break

    def _wind_down(self) -> Iterator[Command]:
        """Init and main containers together, then the sidecars from last to first."""
        busy = False
        for container in self.of("init", "main"):
            yield from self._stop(container)
            busy = busy or container.alive
        for container in reversed(self.of("sidecar")):
            if not busy:
                yield from self._stop(container)
            busy = busy or container.alive
        if not busy and not self._done:
            self._done = True
            yield Finished()

    def _stop(self, container: Container) -> Iterator[Command]:
        if container.stage == "running":
            container.stage = "stopping"
            yield Stop(container.name, self.grace)

    def _restarts(self, container: Container) -> bool:
        if container.role == "sidecar":
            return True
        if self.policy == "Never":
            return False
        code = container.ending.code if container.ending else 0
        return code != 0 or (self.policy == "Always" and container.role == "main")

    def _lost_init(self, container: Container) -> bool:
        return container.stage == "exited" and not container.ready and not self._restarts(container)

    def _wake(self, at: float) -> None:
        self.wake_at = at if self.wake_at is None else min(self.wake_at, at)
