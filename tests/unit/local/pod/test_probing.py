"""How soon a container that is not ready yet is asked again."""

from plait.local.pod.probing import ProbeState, Timing, soon

ONCE_A_SECOND = Timing(0.0, 1.0, 1.0)


def test_a_young_container_is_asked_again_after_a_tenth_of_its_age() -> None:
    assert soon(ONCE_A_SECOND, 0.5) == 0.05
    assert soon(ONCE_A_SECOND, 0.0) == 0.02
    assert soon(ONCE_A_SECOND, 4.0) == 0.1


def test_an_older_one_is_asked_once_a_period() -> None:
    assert soon(ONCE_A_SECOND, 5.0) == 1.0
    assert soon(Timing(0.0, 30.0, 1.0), 29.0) == 0.1
    assert soon(Timing(0.0, 30.0, 1.0), 30.0) == 30.0


def test_no_container_is_asked_more_rarely_than_its_period_says() -> None:
    assert soon(Timing(0.0, 0.05, 1.0), 3.0) == 0.05


def test_failures_of_a_container_that_starts_are_told_once_a_period() -> None:
    state = ProbeState.of("readiness", {})
    assert [age for age in (0.02, 0.5, 1.0, 1.1, 1.9, 2.0) if state.news(age, 1.0)] == [1.0, 2.0]


def test_a_container_that_is_found_dead_is_told_at_once() -> None:
    state = ProbeState.of("liveness", {})
    assert [age for age in (0.02, 0.5, 1.1) if state.news(age, 1.0)] == [0.02, 1.1]
