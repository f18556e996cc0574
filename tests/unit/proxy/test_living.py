"""Bytes of living connections in the counters: once, whole sets only, never falling, but for a restart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plait.proxy.living import Living, folded
from plait.proxy.merging import Ended

SENT, RECEIVED = "istio_tcp_sent_bytes_total", "istio_tcp_received_bytes_total"


def page(counted: dict[str, tuple[int, int]], living: dict[str, tuple[str, int, int]], prefix: str = "") -> str:
    """`counted`: labels -> (sent, received); `living`: stream -> (labels, sent, received)."""
    lines = []
    for name, at in ((SENT, 0), (RECEIVED, 1)):
        if counted:
            lines.append(f"# TYPE {prefix}{name} counter")
            lines += [f"{prefix}{name}{{{labels}}} {values[at]}" for labels, values in counted.items()]
    lines += ["# TYPE other gauge", "other{} 5"]
    if living:
        for kind, at in (("_received_bytes", 2), ("", 0), ("_sent_bytes", 1)):
            lines.append(f"# TYPE {prefix}istio_live{kind} gauge")
            for stream, values in living.items():
                labels = f"{values[0]}," if kind == "_sent_bytes" else ""
                value = values[at] if kind else 1
                lines.append(f'{prefix}istio_live{kind}{{{labels}stream="{stream}"}} {value}')
    return "".join(f"{line}\n" for line in lines)


def value(text: str, series: str) -> float:
    (found,) = [line for line in text.splitlines() if line.rpartition(" ")[0] == series]
    return float(found.rpartition(" ")[2])


A, B = 'to="a b{}"', 'to="b"'


def test_without_living_connections_a_page_stays_as_it_is() -> None:
    text = page({A: (5, 6)}, {})
    assert folded(text) == (text, {})
    assert Living().page(text) == text


def test_what_lives_is_added_to_its_series_and_leaves_no_other_trace() -> None:
    text, _ = folded(page({A: (5, 6)}, {"1": (A, 10, 20), "2": (A, 100, 200), "3": (B, 7, 8)}))
    assert value(text, f"{SENT}{{{A}}}") == 115 and value(text, f"{RECEIVED}{{{A}}}") == 226
    assert value(text, f"{SENT}{{{B}}}") == 7 and value(text, f"{RECEIVED}{{{B}}}") == 8
    assert "live" not in text and "other{} 5" in text


def test_each_metric_stays_one_group_under_its_type() -> None:
    for counted in ({A: (5, 6)}, {}):
        lines = folded(page(counted, {"3": (B, 7, 8)}))[0].splitlines()
        for name in (SENT, RECEIVED):
            at = [number for number, line in enumerate(lines) if line.startswith(f"{name}{{")]
            assert at == list(range(at[0], at[0] + len(at)))
            assert f"# TYPE {name} counter" in lines[: at[0]]


def test_a_connection_that_ended_or_whose_set_is_not_whole_does_not_count() -> None:
    whole = page({A: (5, 6)}, {"1": (A, 10, 20)})
    for lost in ('istio_live{stream="1"} 1', f'istio_live_sent_bytes{{{A},stream="1"}} 10'):
        assert value(folded(whole.replace(f"{lost}\n", ""))[0], f"{SENT}{{{A}}}") == 5
    ended = whole.replace('istio_live{stream="1"} 1', 'istio_live{stream="1"} 0')
    assert value(folded(ended)[0], f"{RECEIVED}{{{A}}}") == 6


def test_bytes_between_gauge_and_counter_are_not_missed() -> None:
    living = Living()
    living.page(page({A: (5, 6)}, {"1": (A, 10, 20)}))
    between = living.page(page({A: (5, 6)}, {}))
    assert value(between, f"{SENT}{{{A}}}") == 15
    after = living.page(page({A: (18, 26)}, {}))
    assert value(after, f"{SENT}{{{A}}}") == 18


def test_the_first_connection_of_a_series_is_not_missed_when_it_ends() -> None:
    living = Living()
    living.page(page({}, {"1": (A, 10, 20)}))
    between = living.page(page({}, {}))
    assert value(between, f"{SENT}{{{A}}}") == 10 and value(between, f"{RECEIVED}{{{A}}}") == 20
    assert value(living.page(page({A: (12, 20)}, {})), f"{SENT}{{{A}}}") == 12


def test_what_stays_away_is_not_shown_for_ever() -> None:
    living = Living()
    living.page(page({}, {"1": (A, 10, 20)}))
    living.page(page({}, {}))
    assert SENT not in living.page(page({}, {}))


def test_a_restart_of_envoy_is_shown() -> None:
    living = Living()
    living.page(page({A: (500, 600)}, {"1": (A, 10, 20)}))
    assert value(living.page(page({A: (3, 4)}, {})), f"{SENT}{{{A}}}") == 3


def test_what_connections_of_an_ended_generation_had_moved_is_kept() -> None:
    ended = Ended()
    ended.add(page({A: (5, 6)}, {"1": (A, 10, 20)}, "envoy_"))
    text = ended.merged(page({A: (1, 1)}, {"2": (A, 100, 200)}, "envoy_"), [])
    assert value(folded(text)[0], f"envoy_{SENT}{{{A}}}") == 116


@given(
    st.lists(st.tuples(st.sampled_from(["moves", "opens", "ends", "scrapes", "late"]), st.integers(0, 1)), max_size=60)
)
def test_whatever_happens_between_pages_no_counter_falls_and_in_the_end_it_is_exact(
    steps: list[tuple[str, int]],
) -> None:
    living, counted, streams, total, shown = Living(), None, dict[int, int](), 0, 0.0

    def seen(counters: int | None) -> float:
        """None: no connection has ended, Envoy has no such counter."""
        alive = {str(number): (A, moved, 0) for number, moved in streams.items()}
        text = living.page(page({} if counters is None else {A: (counters, 0)}, alive))
        return value(text, f"{SENT}{{{A}}}") if SENT in text else 0.0

    for step, number in steps:
        before = counted
        if step == "opens":
            streams.setdefault(number, 0)
        elif number in streams and step == "moves":
            streams[number] += 10
            total += 10
        elif number in streams and step in ("ends", "late"):
            counted = (counted or 0) + streams.pop(number)
        if step in ("scrapes", "late"):  # late: the counters were read before that end
            now = seen(before)
            assert shown <= now <= total
            shown = now
    assert seen(counted) == total
