"""Durations, ages and moments, as people read and type them."""

import datetime as dt
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.cli.times import age, clock, duration, local, moment

MS, S = 10**6, 10**9
NOW = 1_800_000_000 * S


@pytest.mark.parametrize(
    ("ns", "shown"),
    [
        (0, "0.0ms"),
        (49_999, "<0.1ms"),
        (400_000, "0.4ms"),
        (9_949_999, "9.9ms"),
        (9_950_000, "10ms"),
        (412 * MS, "412ms"),
        (999_600_000, "1.0s"),
        (4_200 * MS, "4.2s"),
        (59_960 * MS, "1m00s"),
        (192 * S, "3m12s"),
        (3_599_700 * MS, "1h00m"),
        (7_500 * S, "2h05m"),
        (100 * 3_600 * S, "4d04h"),
        (-5 * S, "-5.0s"),
        (None, "?"),
    ],
)
def test_a_duration_has_the_unit_that_suits_it(ns, shown):
    assert duration(ns) == shown


@given(st.integers(0, 99 * 86_400 * S))
def test_a_duration_takes_six_characters_at_most(ns):
    assert len(duration(ns)) <= 6


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (59, "59s"), (60, "1m"), (7_199, "1h"), (86_400 * 13, "13d"), (86_400 * 70, "10w")],
)
def test_an_age_is_one_number_and_one_unit(seconds, shown):
    assert age(NOW - seconds * S, NOW) == shown


def test_a_moment_ahead_of_our_clock_is_now():
    assert age(NOW + 5 * S, NOW) == "0s"


def test_an_unknown_start_has_an_unknown_age():
    assert age(None, NOW) == "?"


def test_times_are_local():
    zone = dt.timezone(dt.timedelta(hours=2))
    assert local(NOW, zone) == "2027-01-15 10:00:00"
    assert clock(NOW + 7 * MS, zone) == "10:00:00.007"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5_400), ("24h", 86_400), ("7d", 604_800), ("30s", 30), ("2w", 1_209_600)]
)
def test_a_span_is_so_long_ago(text, seconds):
    assert moment(text, NOW) == NOW - seconds * S


def test_an_iso_time_with_a_zone_is_that_time():
    assert moment("2027-01-15T08:00:00.5Z", NOW) == NOW + S // 2
    assert moment("2027-01-15T10:00:00+02:00", NOW) == NOW


def test_an_iso_time_without_a_zone_is_local():
    assert moment("2027-01-15", NOW) == int(time.mktime((2027, 1, 15, 0, 0, 0, 0, 0, -1))) * S


@pytest.mark.parametrize("text", ["yesterday", "", "7", "7x", "99-99-99", "9999-99-99T00:00", "0001-01-01"])
def test_anything_else_is_refused_with_a_sentence(text):
    with pytest.raises(ValueError, match="is no time: give 90m"):
        moment(text, NOW)
