"""kill -9 of teams at random moments: what was recorded when it was acknowledged is in the store, once, when it is next opened."""

import pytest

from killed import (
    assert_one_death_says_nothing_of_another,
    assert_what_was_acknowledged_is_there_once,
    processes,
)
from nursery import Nursery

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def nursery():
    with Nursery("autogen_doomed") as nursery:
        yield nursery


@pytest.fixture
def start(nursery, db):
    """A function that starts a process which records to the store of the test."""
    with processes(nursery, db, "autogen_doomed") as start:
        yield start


@pytest.mark.parametrize("kills", [8, pytest.param(100, marks=pytest.mark.stress)])
def test_what_was_acknowledged_is_there_once_after_a_kill_at_any_moment(db, start, kills):
    assert_what_was_acknowledged_is_there_once(db, start, "autogen", kills)


def test_one_process_that_dies_says_nothing_of_another(db, start):
    assert_one_death_says_nothing_of_another(db, start, "autogen")
