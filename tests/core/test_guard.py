"""An error of our own never reaches the host: it is counted, logged once per place, and told to the stores."""

import inspect
import logging

import pytest

from counterfoil import guard
from counterfoil.guard import counted, guarded, report


@pytest.fixture(autouse=True)
def counts(monkeypatch):
    """Each test begins with nothing counted and nobody listening."""
    monkeypatch.setattr(guard, "_counts", counts := {})
    monkeypatch.setattr(guard, "_listeners", [])
    monkeypatch.delenv("COUNTERFOIL_RAISE", raising=False)
    return counts


@guarded
def work(number: int, *, fail: BaseException | None = None) -> int:
    """Give the number again."""
    if fail is not None:
        raise fail
    return number


PLACE = f"{__name__}.work"


def test_what_does_not_fail_gives_its_result():
    assert work(5) == 5
    assert counted() == {}


def test_what_fails_gives_none_and_is_counted_by_its_place():
    assert work(5, fail=ValueError("wrong")) is None
    assert work(5, fail=KeyError("wrong")) is None
    assert counted() == {PLACE: 2}


def test_wrong_arguments_are_an_error_like_any_other():
    assert work() is None
    assert counted() == {PLACE: 1}


def test_a_guarded_function_is_as_it_was():
    assert (work.__name__, work.__doc__) == ("work", "Give the number again.")
    assert list(inspect.signature(work).parameters) == ["number", "fail"]


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_meant_for_the_host_reaches_it(signal):
    with pytest.raises(signal):
        work(5, fail=signal())
    assert counted() == {}


def test_a_place_is_logged_once(caplog):
    for _ in range(5):
        work(5, fail=ValueError("wrong"))
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("counterfoil", logging.WARNING)
    assert record.getMessage() == f"{PLACE} failed: ValueError: wrong (the application goes on; said once)"


def test_each_place_is_logged(caplog):
    report("here", ValueError("wrong"))
    report("there", ValueError("wrong"))
    assert len(caplog.records) == 2


class Odd(Exception):  # noqa: N818  # as its users name theirs
    def __str__(self):
        raise RuntimeError


def test_an_error_whose_text_raises_is_logged_all_the_same(caplog):
    work(5, fail=Odd())
    assert "str() raised" in caplog.records[0].getMessage()


def test_a_long_error_is_logged_short(caplog):
    work(5, fail=ValueError("x" * 1_000_000))
    assert len(caplog.records[0].getMessage()) < guard.LOGGED_CHARS + 200


def test_a_hosts_log_handler_that_raises_is_not_felt(counts):
    class Raising(logging.Handler):
        def handle(self, record):
            raise RuntimeError("the log is full")

    handler = Raising()
    logging.getLogger("counterfoil").addHandler(handler)
    try:
        assert work(5, fail=ValueError("wrong")) is None
    finally:
        logging.getLogger("counterfoil").removeHandler(handler)
    assert counts == {PLACE: 1}


def test_listeners_hear_of_a_place_ever_more_rarely():
    heard = []
    guard.listen(lambda place, error, count: heard.append((place, str(error), count)))
    for _ in range(100):
        report("here", ValueError("wrong"))
    assert heard == [("here", "wrong", count) for count in (1, 2, 4, 8, 16, 32, 64)]


def test_a_listener_that_raises_does_not_stop_the_others():
    heard = []

    def broken(place, error, count):
        raise RuntimeError

    guard.listen(broken)
    guard.listen(lambda place, error, count: heard.append(place))
    report("here", ValueError("wrong"))
    assert heard == ["here"]


def test_a_listener_that_fails_at_its_own_report_is_no_endless_story():
    guard.listen(lambda place, error, count: report("again", ValueError("wrong")))
    report("here", ValueError("wrong"))
    assert counted()["here"] == 1
    assert counted()["again"] < 10


def test_for_our_own_tests_an_error_surfaces(monkeypatch):
    monkeypatch.setenv("COUNTERFOIL_RAISE", "1")
    with pytest.raises(ValueError, match="wrong"):
        work(5, fail=ValueError("wrong"))


def test_what_is_counted_is_a_copy():
    report("here", ValueError("wrong"))
    counted()["here"] = 99
    assert counted() == {"here": 1}
