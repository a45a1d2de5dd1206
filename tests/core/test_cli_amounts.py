"""Tokens and bytes, in few characters and without inventing any."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.cli.amounts import compact, counted, size, tokens


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0"),
        (950, "950"),
        (1_234, "1.2k"),
        (9_960, "10k"),
        (34_400, "34k"),
        (999_600, "1.0M"),
        (5_600_000, "5.6M"),
        (7 * 10**9, "7.0G"),
    ],
)
def test_a_number_keeps_two_or_three_digits(number, shown):
    assert compact(number) == shown


@given(st.integers(0, 10**14))
def test_a_number_takes_five_characters_at_most(number):
    assert len(compact(number)) <= 5


def test_tokens_are_input_and_output_together():
    assert tokens(1_000, 234) == "1.2k"


def test_unknown_usage_is_never_zero():
    assert tokens(None, None) == "?"
    assert tokens(None, None, unknown=3, nothing="-") == "?"


def test_where_no_model_was_called_something_else_can_stand():
    assert tokens(None, None, nothing="-") == "-"


def test_with_unknown_calls_it_is_at_least():
    assert tokens(100, 50, unknown=1) == "≥150"
    assert tokens(100, None) == "≥100"


def test_bytes_have_a_unit():
    assert [size(0), size(512), size(1_234), size(5_000_000)] == ["0 B", "512 B", "1.2 kB", "5.0 MB"]


def test_things_are_counted_in_words():
    assert [counted(n, "step") for n in (0, 1, 2, 1_200)] == ["no steps", "1 step", "2 steps", "1,200 steps"]
    assert counted(2, "query", "queries") == "2 queries"
