"""Who gets which address, and that nobody's changes without need."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from plait.model import autoallocation
from plait.resources.meta import ObjectMeta
from plait.resources.networking.service_entry import (
    ServiceEntry,
    ServiceEntryAddress,
    ServiceEntrySpec,
    ServiceEntryStatus,
)
from plait.resources.networking.workload import WorkloadEntrySpec

SMALL = IPv4Network("240.240.0.0/29")  # six addresses


def entry(
    name: str, *hosts: str, created: str = "", labels: dict[str, str] | None = None, **spec: object
) -> ServiceEntry:
    meta = ObjectMeta(name=name, namespace="shop", creation_timestamp=created, labels=labels or {})
    fields = {"resolution": "STATIC", **spec}
    return ServiceEntry(meta=meta, spec=ServiceEntrySpec(hosts=hosts, **fields))  # type: ignore[arg-type]


def having(each: ServiceEntry, **addresses: str) -> ServiceEntry:
    rows = tuple(ServiceEntryAddress(value=value, host=host.replace("_", ".")) for host, value in addresses.items())
    return replace(each, status=ServiceEntryStatus(addresses=rows))


def applied(entries: list[ServiceEntry], *networks: autoallocation.Network) -> list[ServiceEntry]:
    found = autoallocation.changes(entries, networks or (autoallocation.RANGE,))
    return [
        replace(e, status=ServiceEntryStatus(addresses=found[key])) if (key := (e.namespace, e.name)) in found else e
        for e in entries
    ]


def addresses(entries: list[ServiceEntry]) -> list[str]:
    return [a.value for e in entries if e.status is not None for a in e.status.addresses]


def test_every_host_gets_one_address_of_the_range_and_then_nothing_changes() -> None:
    written = applied([entry("a", "one.test", "two.test"), entry("b", "*.three.test")])
    assert len(set(addresses(written))) == 3
    assert all(address.startswith("240.240.") for address in addresses(written))
    assert autoallocation.changes(written) == {}


def test_an_entry_made_anew_is_where_it_was() -> None:
    first = applied([entry("a", "one.test")])
    assert addresses(applied([entry("a", "one.test")])) == addresses(first)


@pytest.mark.parametrize(
    "declined",
    [
        entry("a", "one.test", addresses=("192.0.2.1",)),
        entry("a", "one.test", resolution="NONE"),
        entry("a", "one.test", resolution="DYNAMIC_DNS"),
        entry("a", "*.one.test", resolution="DNS"),
        entry("a", "one.test", labels={"networking.istio.io/enable-autoallocate-ip": "false"}),
    ],
)
def test_who_needs_none_gets_none_and_loses_what_it_had(declined: ServiceEntry) -> None:
    assert autoallocation.changes([declined]) == {}
    assert autoallocation.changes([having(declined, one_test="240.240.0.9")]) == {("shop", "a"): ()}


def test_a_wildcard_that_is_looked_up_needs_endpoints() -> None:
    known = entry("a", "*.one.test", resolution="DNS", endpoints=(WorkloadEntrySpec(address="one.test"),))
    assert len(addresses(applied([known]))) == 1


def test_of_two_with_one_address_the_older_keeps_it() -> None:
    old = having(entry("b", "one.test", created="2026-01-01T00:00:00Z"), one_test="240.240.0.9")
    new = having(entry("a", "two.test", created="2026-01-02T00:00:00Z"), two_test="240.240.0.9")
    written = applied([new, old])
    assert addresses(written)[1] == "240.240.0.9" != addresses(written)[0]


@pytest.mark.parametrize("bad", ["192.0.2.1", "240.240.0.300", "", "240.240.0.09"])
def test_an_address_that_is_none_of_ours_is_replaced(bad: str) -> None:
    (address,) = addresses(applied([having(entry("a", "one.test"), one_test=bad)]))
    assert address.startswith("240.240.") and address != bad


def test_a_full_range_says_what_to_do() -> None:
    six = [entry(f"e{n}", f"{n}.test") for n in range(6)]
    assert len(set(addresses(applied(six, SMALL)))) == 6
    with pytest.raises(autoallocation.Exhausted, match=r"spec\.addresses"):
        autoallocation.changes([*six, entry("one", "more.test")], (SMALL,))


names = st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=30)


@given(names)
def test_whatever_comes_and_goes_addresses_are_never_shared_and_never_move(steps: list[tuple[str, bool]]) -> None:
    present: dict[str, ServiceEntry] = {}
    for name, comes in steps:
        before = {n: addresses([e]) for n, e in present.items() if n != name}
        if comes:
            present.setdefault(name, entry(name, f"{name}.test"))
        else:
            present.pop(name, None)
        present = {e.name: e for e in applied(list(present.values()), SMALL)}
        given = addresses(list(present.values()))
        assert len(given) == len(set(given)) == len(present)
        assert all(addresses([present[n]]) == had for n, had in before.items())


def test_in_a_mesh_of_both_families_each_host_has_one_of_each_and_keeps_what_it_had() -> None:
    both = autoallocation.ranges(("10.75.0.0/16", "fd70::/56", "240.240.0.0/16", "2001:2::/48"))
    assert autoallocation.ranges(("10.75.0.0/16", "240.240.0.0/16")) == (autoallocation.RANGE,)
    assert autoallocation.ranges(("fd70::/56", "2001:2::/48")) == (autoallocation.RANGE6,)
    assert autoallocation.ranges(()) == (autoallocation.RANGE,)
    before = applied([entry("a", "one.test", "two.test")])
    after = applied(before, *both)
    assert [address.startswith(("240.240.", "2001:2:")[n % 2]) for n, address in enumerate(addresses(after))] == [
        True
    ] * 4
    assert addresses(after)[::2] == addresses(before)
    assert autoallocation.changes(after, both) == {}
    assert addresses(applied(after)) == addresses(before), "and gives the other back"
