"""CEL as Kubernetes speaks it: the language, and each library function that we claim."""

from __future__ import annotations

from typing import Any

import pytest

from plait.store.expressions import ExpressionError, evaluate, program


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("isIP('10.0.0.1') && isIP('::1') && !isIP('10.0.0.256') && !isIP('')", True),
        ("ip('10.0.0.1').family()", 4),
        ("ip('2001:db8::0:1').family()", 6),
        ("isCIDR('10.0.0.0/8') && !isCIDR('10.0.0.0') && !isCIDR('10.0.0.0/40')", True),
        ("cidr('10.0.0.0/8').containsIP('10.1.2.3')", True),
        ("cidr('10.0.0.0/8').containsIP('11.1.2.3')", False),
        ("cidr('10.0.0.0/8').containsIP('::1')", False),
        ("cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')", True),
        ("cidr('10.1.0.0/16').containsCIDR('10.0.0.0/8')", False),
        ("cidr('10.0.0.0/8').prefixLength()", 8),
        ("isURL('https://a.example:80/p') && isURL('/p') && !isURL('a.example')", True),
        ("url('https://a.example:80/p').getScheme()", "https"),
        ("url('https://a.example:80/p').getHost()", "a.example:80"),
        ("url('https://[::1]:80/p').getHostname()", "::1"),
        ("url('https://a.example/p').getPort()", ""),
        ("url('https://a.example/p q').getEscapedPath()", "/p%20q"),
        ("url('https://a.example/?k=1&k=2').getQuery()", {"k": ["1", "2"]}),
        ("'abc 123'.find('[0-9]*$')", "123"),
        ("'abc'.find('[0-9]+')", ""),
        ("'1 23'.findAll('[0-9]+')", ["1", "23"]),
        ("'1 23'.findAll('[0-9]+', 1)", ["1"]),
        ("[1, 2, 2].isSorted() && ![2, 1].isSorted()", True),
        ("[1, 2, 3].sum()", 6),
        ("[1, 3, 2].max() - [1, 3, 2].min()", 2),
        ("[1, 2, 1].indexOf(1) == 0 && [1, 2, 1].lastIndexOf(1) == 2 && [1].indexOf(5) == -1", True),
        ("'abcb'.indexOf('b') == 1 && 'abcb'.lastIndexOf('b') == 3", True),
        ("'a,b'.split(',')", ["a", "b"]),
        ("['a', 'b'].join('-')", "a-b"),
        ("'abcd'.substring(1, 3)", "bc"),
        ("' a '.trim()", "a"),
        ("'aB'.lowerAscii() + 'aB'.upperAscii()", "abAB"),
        ("'aba'.replace('a', 'x')", "xbx"),
        ("'abc'.charAt(1)", "b"),
        ("!format.dns1123Label().validate('good').hasValue()", True),
        ("format.dns1123Label().validate('Not.Good').hasValue()", True),
        ("!format.dns1123Subdomain().validate('a.good').hasValue()", True),
        ("duration('90s') > duration('1m')", True),
        ("timestamp('2026-01-02T00:00:00Z').getFullYear()", 2026),
        ("self.all(k, self[k] > 0) && 'a' in self && has(self.b)", True),
        ("[1, 2, 3].filter(x, x > 1).map(x, x * 2)", [4, 6]),
        ("[1, 2].exists(x, x == 2) && [1, 2].exists_one(x, x > 1)", True),
        ("'route-1'.matches('^[a-z]+-[0-9]$')", True),
    ],
)
def test_a_function_does_what_kubernetes_says(source: str, value: Any) -> None:
    assert evaluate(source, {"self": {"a": 1, "b": 2}}) == value


@pytest.mark.parametrize("source", ["self.", "self.a >", "(1", "'open"])
def test_what_does_not_parse_is_an_error_of_its_own(source: str) -> None:
    with pytest.raises(ExpressionError):
        program(source)


@pytest.mark.parametrize("source", ["self.missing == 1", "1 / 0", "unknown(1)", "ip('x')", "nobody == 1", "'a' + 1"])
def test_what_has_no_value_is_an_error_of_its_own(source: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(source, {"self": {"a": 1}})
