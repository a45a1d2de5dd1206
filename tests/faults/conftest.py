"""What the tests of faults share: a store, and processes that record to it and outlive no test."""

import pytest

from acknowledged import Doomed


@pytest.fixture
def db(tmp_path):
    return tmp_path / "x.db"


@pytest.fixture
def doomed(db):
    """Give a function that starts a process that records to `db`."""
    started = []

    def start(*arguments, path=db, **more):
        started.append(Doomed(path, *arguments, **more))
        return started[-1]

    yield start
    for one in started:
        one.end_if_alive()
