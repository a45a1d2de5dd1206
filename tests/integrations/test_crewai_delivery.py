"""Events of CrewAI's where its own threads are late: listeners of the host's hold all of them."""

import threading

import pytest
from crewai.events import crewai_event_bus
from crewai.events.base_events import BaseEvent
from crewai.tools import tool

import counterfoil
from counterfoil_crewai import CounterfoilListener
from crewai_apps import alone, model
from support_desk.endpoint import Reply, Rule, call
from tape_reading import lines


class Busy(BaseEvent):
    type: str = "busy"


class Held:
    """Holds every thread of CrewAI's bus from `hold()` to `let_go()`."""

    def __init__(self):
        self._over = threading.Event()

    def hold(self):
        for _ in range(32):  # there are ten threads in 1.15.30
            crewai_event_bus.emit(None, Busy())

    def let_go(self):
        self._over.set()

    def wait(self, source, event):
        self._over.wait(20)


@pytest.fixture
def bus():
    """CrewAI's bus, whose threads a test may hold until it ends."""
    held = Held()
    crewai_event_bus.register_handler(Busy, held.wait)
    yield held
    held.let_go()
    crewai_event_bus.flush()
    crewai_event_bus.off(Busy, held.wait)


def test_the_intent_is_on_the_tape_before_the_body_runs(db, serve, listening, bus):
    seen = []

    @tool("look")
    def look(query: str) -> str:
        """Look."""
        seen.extend(line.text.name for line in lines(db, "start"))
        bus.let_go()
        return "seen"

    def script(request):
        if request.results:
            return Reply("done")
        bus.hold()
        return Reply(calls=[call("look", query="x")])

    alone("clerk", model(serve(script)), look).kickoff()
    assert "look" in seen


class TestToldLate:
    """CrewAI as a version would be whose events come from a pool of threads alone."""

    @pytest.fixture(autouse=True)
    def _late(self, told_late, db):
        listener = CounterfoilListener(db)
        yield
        listener.close()

    def test_a_step_began_when_it_was_sent_and_not_when_it_was_told(self, db, serve, bus):
        bus.hold()
        model(serve([Rule(Reply("done", delay=0.2))])).call("hello")
        bus.let_go()
        crewai_event_bus.flush()
        with counterfoil.open(db) as store:
            (one,) = store.llm_calls()
        assert one.duration_ms >= 200

    def test_an_error_is_told_at_the_deepest_step_alone(self, db, serve):
        with pytest.raises(Exception, match="scripted error 401"):
            alone("clerk", model(serve([Rule(Reply(error=401))]))).kickoff()
        with counterfoil.open(db) as store:
            steps = store.steps(store.run("last"))
        assert {step.kind for step in steps if step.status == "error"} == {"workflow", "task", "agent", "llm"}
        assert {step.kind for step in steps if step.error_message} == {"llm"}
