"""Questions as they are put, and answers as a client reads them."""

from __future__ import annotations

from plait.base import dns_wire as wire


def test_a_question_is_read_back_as_it_was_put() -> None:
    query = wire.parse(wire.question("Web.Shop", wire.AAAA, 77))
    assert query is not None
    assert (query.id, query.name, query.type, query.edns) == (77, "web.shop", wire.AAAA, False)


def test_an_answer_is_no_question() -> None:
    query = wire.parse(wire.question("web", wire.A, 1))
    assert query is not None
    assert wire.parse(wire.answer(query, wire.NO_ERROR, [wire.address("web", "10.0.0.1", 5)])) is None
