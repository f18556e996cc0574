"""The life of one pod's capture as a pure state machine: event in, instructions out. No IO, no clock.

In:  serve (listeners really listening, certificate present) -> redirect -> probe -> announce.
Out: retract the announcement -> grace (peers stop tunnelling) -> release (nothing new) -> drain -> clean -> withdraw.
Every instruction carries a turn; results of an older turn are stale and change nothing. Failures are tried again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

Phase = Literal[
    "out", "serving", "redirecting", "probing", "announcing", "in",
    "retracting", "grace", "releasing", "draining", "cleaning", "gone",
]  # fmt: skip
Verb = Literal["serve", "redirect", "probe", "announce", "wait", "retract", "release", "clean", "withdraw", "admit"]

GRACE: Final = 1.0  # seconds between taking the announcement back and letting new connections pass uncaptured
DRAIN: Final = 5.0  # seconds that live redirected connections keep their listeners
_LONGEST_RETRY: Final = 10.0
_JOINING: Final = frozenset({"serving", "redirecting", "probing", "announcing", "in"})
_LEAVING: Final = frozenset({"retracting", "grace", "releasing", "draining", "cleaning"})


# Events -------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Attached:
    """The pod's namespace is there. `rules`, `announced`: what a former agent left there."""

    rules: bool = False
    announced: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """The pod should (not) be in the mesh."""

    value: bool


@dataclass(frozen=True, slots=True)
class Served:
    """Level, not edge: its listeners listen and its certificate is present, or no longer (Envoy died)."""

    value: bool


@dataclass(frozen=True, slots=True)
class Done:
    turn: int


@dataclass(frozen=True, slots=True)
class Failed:
    turn: int
    reason: str


@dataclass(frozen=True, slots=True)
class Elapsed:
    """The wait of this turn is over."""

    turn: int


@dataclass(frozen=True, slots=True)
class Drifted:
    """The rules found in the namespace are not those applied."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The pod ends, its namespace with it."""


Event = Attached | Wanted | Served | Done | Failed | Elapsed | Drifted | Gone


@dataclass(frozen=True, slots=True)
class Instruction:
    verb: Verb
    turn: int
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Capture:
    """Where one pod stands. `rules` and `announced` mean "may be there": set before trying, cleared after success."""

    phase: Phase = "out"
    wanted: bool = False
    attached: bool = False
    served: bool = False
    rules: bool = False
    announced: bool = False
    turn: int = 0
    attempts: int = 0
    problem: str = ""

    @property
    def captured(self) -> bool:
        """Verified and announced."""
        return self.phase == "in"

    @property
    def may_run(self) -> bool:
        """May the pod's first container start? Only captured, or with no trace of a capture that it should not have."""
        return self.captured or (self.phase == "out" and not self.wanted)


Step = tuple[Capture, tuple[Instruction, ...]]


def step(state: Capture, event: Event) -> Step:
    """One event. Total: every event is legal in every state."""
    if state.phase == "gone":
        return state, ()
    match event:
        case Gone():
            return _enter(replace(state, attached=False), "gone")
        case Attached(rules, announced):
            if state.phase != "out":  # what was found is older than what we did since
                rules = announced = False
            found = replace(state, rules=state.rules or rules, announced=state.announced or announced)
            return _steer(replace(found, attached=True))
        case Wanted(value):
            return _steer(replace(state, wanted=value))
        case Served(value):
            return _served(replace(state, served=value))
        case Drifted():
            return _join(state) if state.phase == "in" else (state, ())
        case Done(turn):
            return _done(state) if turn == state.turn else (state, ())
        case Failed(turn, reason):
            return _failed(state, reason) if turn == state.turn else (state, ())
        case Elapsed(turn):
            return _elapsed(state) if turn == state.turn else (state, ())


def _steer(state: Capture) -> Step:
    if state.wanted and state.attached and state.phase not in _JOINING:
        return _join(replace(state, attempts=0))
    if not state.wanted and state.phase not in _LEAVING and (state.phase != "out" or state.rules or state.announced):
        return _leave(replace(state, attempts=0))
    return state, ()


def _served(state: Capture) -> Step:
    if state.served and state.phase == "serving":
        return _enter(state, "redirecting")
    if not state.served and state.phase in _JOINING - {"serving"}:
        return _enter(state, "serving")  # rules stay: without its proxy a captured pod fails closed
    return state, ()


def _join(state: Capture) -> Step:
    return _enter(state, "redirecting" if state.served and state.phase in ("in", "draining") else "serving")


def _leave(state: Capture) -> Step:
    if state.announced:
        return _enter(state, "retracting")
    if state.rules:
        return _enter(state, "releasing")
    return _enter(state, "out")


def _enter(state: Capture, phase: Phase) -> Step:
    """Begin a phase: a new turn, its instruction, and what may be true in the world from now on."""
    state = replace(state, phase=phase, turn=state.turn + 1)
    turn = state.turn
    match phase:
        case "serving":
            return replace(state, served=False), (Instruction("serve", turn),)
        case "redirecting":
            return replace(state, rules=True), (Instruction("redirect", turn),)
        case "probing":
            return state, (Instruction("probe", turn),)
        case "announcing":
            return replace(state, announced=True), (Instruction("announce", turn),)
        case "in":
            return replace(state, problem="", attempts=0), ()
        case "retracting":
            return state, (Instruction("retract", turn),)
        case "grace":
            return replace(state, announced=False), (Instruction("wait", turn, GRACE),)
        case "releasing":
            return state, (Instruction("release", turn),)
        case "draining":
            return state, (Instruction("wait", turn, DRAIN),)
        case "cleaning":
            return state, (Instruction("clean", turn),)
        case _:  # out, gone
            state = replace(state, served=False, rules=False, announced=False, problem="", attempts=0)
            return state, (Instruction("withdraw", turn),)


_AFTER: Final[dict[Phase, Phase]] = {
    "redirecting": "probing",
    "probing": "announcing",
    "announcing": "in",
    "retracting": "grace",
    "releasing": "draining",
    "cleaning": "out",
}


def _done(state: Capture) -> Step:
    if state.phase == "retracting" and not state.rules:
        return _enter(replace(state, announced=False), "out")
    following = _AFTER.get(state.phase)
    return _enter(state, following) if following else (state, ())


def _failed(state: Capture, reason: str) -> Step:
    if state.phase not in _AFTER and state.phase != "serving":
        return state, ()
    attempts = state.attempts + 1
    state = replace(state, attempts=attempts, problem=reason, turn=state.turn + 1)
    return state, (Instruction("wait", state.turn, min(_LONGEST_RETRY, 0.05 * 2 ** min(attempts, 16))),)


def _elapsed(state: Capture) -> Step:
    if state.phase == "grace":
        return _enter(state, "releasing" if state.rules else "out")
    if state.phase == "draining":
        return _enter(state, "cleaning")
    if state.phase == "probing":
        return _enter(state, "redirecting")  # a failed probe may mean missing rules: apply them again first
    return _enter(state, state.phase) if state.attempts else (state, ())
