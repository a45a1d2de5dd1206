"""What status a step has that an exception ended: an error, unless the framework says otherwise."""

import pytest

import counterfoil
from counterfoil import steps
from counterfoil.steps import control_flow, status_of
from outline import outline


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    monkeypatch.setattr(steps, "_control_flow", {})


def made(name, module, *bases):
    return type(name, bases or (Exception,), {"__module__": module})


Pause = made("Pause", "rails.flow.signals")
Asks = made("Asks", "app", Pause)
Bubble = made("Bubble", "rails.errors")
Stop = made("Stop", "rails.errors", Bubble)


def test_an_exception_is_an_error_until_its_framework_says_what_it_is():
    assert status_of(Pause()) == "error"
    control_flow({"rails.Pause": "waiting"})
    assert status_of(Pause()) == "waiting"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Asks(), "waiting"),  # the application's own kind of it
        (Bubble(), "ok"),
        (Stop(), "denied"),  # of two that fit, the nearest
        (made("Pause", "other.flow")(), "error"),
        (made("Pause", "railsides")(), "error"),
        (ValueError(), "error"),
        (KeyboardInterrupt(), "cancelled"),
    ],
    ids=repr,
)
def test_it_is_known_by_its_package_and_class_and_those_it_is_derived_from(error, status):
    control_flow({"rails.Pause": "waiting", "rails.Bubble": "ok", "rails.Stop": "denied"})
    assert status_of(error) == status


def test_steps_of_plain_python_that_it_passes_are_no_errors(default_db):
    control_flow({"rails.Pause": "waiting"})

    @counterfoil.tool
    def ask():
        with counterfoil.step("inner"):
            raise Pause("may I?")

    with pytest.raises(Pause), counterfoil.run("desk"):
        ask()
    assert outline(default_db) == "workflow desk waiting\n  tool ask waiting\n    other inner waiting"
    with counterfoil.open(default_db) as store:
        assert {step.error_type for step in store.steps("last")} == {None}
