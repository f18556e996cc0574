"""How soon a container that is not ready yet is asked again."""

from plait.local.probing import Timing, soon

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
