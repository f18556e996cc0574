"""What is given to iptables-restore, by what a namespace has already."""

from __future__ import annotations

import pytest

from plait.local.serviceproxy import transaction
from plait.local.services import JUMPS, REJECTED, SERVICES

WANTED = f"""*nat
:{SERVICES} - [0:0]
-A {SERVICES} -d 10.64.128.20/32 -j RETURN
COMMIT
*filter
:{REJECTED} - [0:0]
COMMIT
"""


def lines(text: str, table: str) -> list[str]:
    return text.split(f"*{table}\n")[1].split("COMMIT\n")[0].splitlines()


def test_an_empty_namespace_gets_the_chains_and_the_jumps_to_them() -> None:
    made = transaction(WANTED, "")
    assert lines(made, "nat") == [
        f":{SERVICES} - [0:0]",
        f"-A {SERVICES} -d 10.64.128.20/32 -j RETURN",
        *(f"-A {chain} -j {ours}" for table, chain, ours in JUMPS if table == "nat"),
    ]
    assert made.endswith("COMMIT\n")


@pytest.mark.parametrize("lost", [each for each in JUMPS if each[0] == "filter"])
def test_of_the_jumps_only_those_that_are_missing_are_added(lost: tuple[str, str, str]) -> None:
    jumps = [f"-A {chain} -j {ours}" for table, chain, ours in JUMPS if table == "filter"]
    missing = f"-A {lost[1]} -j {lost[2]}"
    present = "\n".join(("*filter", f":{REJECTED} - [0:0]", *(j for j in jumps if j != missing), "COMMIT", ""))
    assert [line for line in lines(transaction(WANTED, present), "filter") if line.startswith("-A")] == [missing]


def test_a_chain_of_ours_that_is_not_wanted_is_emptied_first_and_dropped_last_where_it_is() -> None:
    present = "# made by iptables-save\n*nat\n:PREROUTING ACCEPT [1:60]\n:PLAIT-OLD - [0:0]\nCOMMIT\n"
    made = lines(transaction(WANTED, present), "nat")
    assert (made[0], made[-1]) == (":PLAIT-OLD - [0:0]", "-X PLAIT-OLD")
    assert not any("PLAIT-OLD" in line for line in lines(transaction(WANTED, present), "filter"))


def test_chains_of_others_stay() -> None:
    present = "*nat\n:OTHER - [0:0]\n-A PREROUTING -j OTHER\nCOMMIT\n"
    assert "OTHER" not in transaction(WANTED, present)
