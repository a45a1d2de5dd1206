"""Money is shown to a useful precision, and never as more or less than is known."""

import re

from hypothesis import given
from hypothesis import strategies as st

from counterfoil.cli.money import money


def test_small_sums_have_four_decimals():
    assert money(12_345_678) == "$0.0123"
    assert money(1_500_000_000) == "$1.5000"


def test_larger_sums_have_two():
    assert money(12_345_678_901) == "$12.35"
    assert money(1_234_567_000_000_000) == "$1,234,567.00"


def test_what_is_smaller_still_keeps_two_digits():
    assert money(450_000) == "$0.00045"
    assert money(1_234) == "$0.0000012"
    assert money(1) == "$0.000000001"


def test_the_unknown_is_no_zero():
    assert money(None) == "?"
    assert money(None, unpriced=2) == "?"
    assert money(0, unpriced=2) == "?"


def test_a_true_zero_is_zero():
    assert money(0) == "$0"


def test_with_unpriced_calls_it_is_at_least():
    assert money(12_300_000, unpriced=1) == "≥ $0.0123"


def test_at_least_is_not_rounded_up():
    assert money(12_399_999, unpriced=1) == "≥ $0.0123"


def test_where_there_was_nothing_to_pay_for_something_else_can_stand():
    assert money(None, nothing="-") == "-"
    assert money(None, unpriced=1, nothing="-") == "?"


@given(st.integers(1, 10**18))
def test_what_is_shown_is_close_to_what_is_meant(nano):
    shown = money(nano)
    assert re.fullmatch(r"\$[\d,]+\.\d{2,9}", shown)
    assert abs(float(shown[1:].replace(",", "")) - nano / 1e9) <= max(0.05 * nano / 1e9, 1e-9)
