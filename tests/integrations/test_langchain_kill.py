"""kill -9 of agents at random moments: what was recorded when a callback has returned is in the store, once, when it is next opened."""

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
    with Nursery("langchain_doomed") as nursery:
        yield nursery


@pytest.fixture
def start(nursery, db):
    """A function that starts a process which records to the store of the test."""
    with processes(nursery, db, "langchain_doomed") as start:
        yield start


@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=pytest.mark.stress)])
def test_what_was_acknowledged_is_there_once_after_a_kill_at_any_moment(db, start, kills):
    assert_what_was_acknowledged_is_there_once(db, start, "langchain", kills)


def test_one_process_that_dies_says_nothing_of_another(db, start):
    assert_one_death_says_nothing_of_another(db, start, "langchain")
