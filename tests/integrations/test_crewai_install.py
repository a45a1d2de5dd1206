"""Attaching to CrewAI: to the whole process, without leaving anything behind, and without breaking the host."""

import os
import re
import subprocess
import sys

import pytest
from crewai import Crew, Flow
from crewai.agents.agent_executor import AgentExecutor
from crewai.core.providers.human_input import SyncHumanInputProvider
from crewai.events import crewai_event_bus
from crewai.events.base_events import BaseEvent

import counterfoil
import counterfoil_crewai
from counterfoil import guard
from counterfoil_crewai import attach, delivery, plugin
from crewai_apps import alone, model, search
from outline import outline
from support_desk.endpoint import Reply, Rule, call, in_turn

DONE = [Rule(Reply("done"))]
TELEMETRY = ("CREWAI_DISABLE_TELEMETRY", "CREWAI_TRACING_ENABLED", "OTEL_SDK_DISABLED")
PATCHED = [
    (type(crewai_event_bus), "_prepare_event"),
    (Crew, "kickoff"),
    (Crew, "akickoff"),
    (Flow, "kickoff_async"),
    (Flow, "resume_async"),
    (SyncHumanInputProvider, "_prompt_input"),
    (SyncHumanInputProvider, "_prompt_input_async"),
    (AgentExecutor, "_handle_human_feedback"),
    (AgentExecutor, "_ahandle_human_feedback"),
]


@pytest.fixture
def install(db):
    """`install`, undone when the test ends."""
    yield lambda path=db, **options: counterfoil_crewai.install(path, **{"quiet": True} | options)
    counterfoil_crewai.uninstall()


def runs(path):
    with counterfoil.open(path) as store:
        return store.runs(all=True)


class TestInstall:
    def test_every_run_of_the_process(self, db, serve, install):
        install()
        alone("clerk", model(serve(DONE))).kickoff()
        assert len(runs(db)) == 1
        assert attach.installed()

    def test_twice_records_once(self, db, serve, install):
        install()
        install()
        alone("clerk", model(serve(DONE))).kickoff()
        assert runs(db)[0].llm_calls == 1
        assert len(delivery.trackers()) == 1

    def test_beside_a_listener_of_the_same_store_records_once(self, db, serve, install):
        install()
        listener = counterfoil_crewai.CounterfoilListener(db)
        alone("clerk", model(serve(DONE))).kickoff()
        listener.close()
        assert runs(db)[0].llm_calls == 1

    def test_another_store_from_now_on(self, db, serve, install):
        office = alone("clerk", model(serve(DONE)))
        install()
        office.kickoff()
        other = db.with_name("other.db")
        install(other)
        office.kickoff()
        office.kickoff()
        assert (len(runs(db)), len(runs(other))) == (1, 2)

    def test_it_says_where_once(self, db, install, capsys):
        install(quiet=False)
        install(quiet=False)
        assert capsys.readouterr().err == f"counterfoil records to {db}\n"

    def test_content_is_left_out_where_asked(self, db, serve, install):
        install(capture="metadata")
        alone("clerk", model(serve(DONE))).kickoff()
        (run,) = runs(db)
        assert (run.name, run.output, run.llm_calls) == ("office", None, 1)

    def test_uninstalled_nothing_of_ours_is_left(self, db, serve, install):
        before = [vars(owner).get(name) for owner, name in PATCHED]
        install()
        assert all(
            vars(owner).get(name) is not was for (owner, name), was in zip(PATCHED, before, strict=True)
        )
        counterfoil_crewai.uninstall()
        counterfoil_crewai.uninstall()
        assert [vars(owner).get(name) for owner, name in PATCHED] == before
        alone("clerk", model(serve(DONE))).kickoff()
        assert not attach.installed()
        assert not db.exists()

    def test_in_the_middle_of_a_run(self, db, serve, install):
        from crewai.tools import tool

        @tool("attach")
        def attach_now(query: str) -> str:
            """Attach."""
            install()
            return "attached"

        script = in_turn(Reply(calls=[call("attach", query="x")]), Reply("done"))
        alone("clerk", model(serve(script)), attach_now).kickoff()
        assert outline(db) == "llm OpenAICompletion"


class TestPlugin:
    def test_core_knows_it_without_the_framework(self):
        code = (
            "import sys, counterfoil_crewai, counterfoil_crewai.plugin as plugin\n"
            "(adapter,) = plugin.register_adapters()\n"
            "assert adapter.name == 'crewai' and adapter.installed() is False\n"
            "assert counterfoil_crewai.SUPPORTED == adapter.requires\n"
            "assert 'crewai' not in sys.modules\n"
        )
        paths = os.pathsep.join(path for path in sys.path if path)
        subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": paths})

    def test_what_it_exports(self):
        assert dir(counterfoil_crewai) == ["CounterfoilListener", "SUPPORTED", "install", "uninstall"]
        with pytest.raises(AttributeError):
            _ = counterfoil_crewai.nothing

    def test_it_attaches_through_core(self, db, serve):
        from counterfoil_crewai.plugin import register_adapters

        (adapter,) = register_adapters()
        adapter.install(db, quiet=True)
        try:
            assert adapter.installed()
            alone("clerk", model(serve(DONE))).kickoff()
        finally:
            adapter.uninstall()
        assert len(runs(db)) == 1


class TestHost:
    def test_an_error_of_ours_does_not_reach_it(self, db, serve, install, monkeypatch):
        monkeypatch.setattr("counterfoil.lifecycle.Lifecycle.start", _broken)
        before = dict(guard._counts)
        install()
        assert alone("clerk", model(serve(DONE))).kickoff().raw == "done"
        assert guard.counted() != before
        guard._counts.clear()
        guard._counts.update(before)

    def test_a_crewai_that_asks_humans_in_another_way_is_recorded_without(
        self, db, serve, install, monkeypatch
    ):
        monkeypatch.delattr(SyncHumanInputProvider, "_prompt_input_async")
        before = dict(guard._counts)
        install()
        assert guard.counted() != before  # `counterfoil doctor` shows it
        guard._counts.clear()
        guard._counts.update(before)
        alone("clerk", model(serve(DONE))).kickoff()
        assert runs(db)[0].status == "ok"

    def test_an_event_of_the_hosts_own_is_let_pass(self, db, install):
        class Greeting(BaseEvent):
            type: str = "greeting"

        class Odd(BaseEvent):
            type: str = "task_started"

        install()
        crewai_event_bus.emit(self, Greeting())
        before = dict(guard._counts)
        crewai_event_bus.emit(self, Odd())  # of a name that we know, with nothing in it
        assert guard.counted() != before
        guard._counts.clear()
        guard._counts.update(before)

    def test_what_the_host_gets_is_the_same(self, db, serve, install):
        script = in_turn(Reply(calls=[call("search", query="fail")]), Reply("done"))
        plain = alone("clerk", model(serve(script)), search).kickoff()
        install()
        recorded = alone("clerk", model(serve(script)), search).kickoff()
        assert (plain.raw, plain.token_usage.total_tokens) == (
            recorded.raw,
            recorded.token_usage.total_tokens,
        )

    def test_who_wraps_the_bus_after_us_stays(self, db, serve, install):
        seen = []
        bus = type(crewai_event_bus)
        install()
        ours = bus._prepare_event

        def theirs(self, source, event):
            ours(self, source, event)
            seen.append(event.type)

        bus._prepare_event = theirs
        try:
            counterfoil_crewai.uninstall()
            assert bus._prepare_event is theirs
            install()
            alone("clerk", model(serve(DONE))).kickoff()
        finally:
            counterfoil_crewai.uninstall()
            bus._prepare_event = ours.__wrapped__
        assert "crew_kickoff_completed" in seen
        assert runs(db)[0].llm_calls == 1

    def test_telemetry_stays_as_the_user_set_it(self, install):
        from opentelemetry import trace

        before = ({name: os.environ.get(name) for name in TELEMETRY}, trace.get_tracer_provider())
        install()
        assert ({name: os.environ.get(name) for name in TELEMETRY}, trace.get_tracer_provider()) == before

    def test_nothing_of_a_finished_run_is_kept(self, db, serve, install):
        install()
        alone("clerk", model(serve(DONE))).kickoff()
        (tracker,) = delivery.trackers()
        assert tracker.entries == {}
        assert tracker.questions == {}


def _broken(*_, **__):
    raise RuntimeError("of our own")


class TestDoctor:
    @pytest.mark.parametrize(
        ("environment", "turns_off"),
        [
            ({}, ["CREWAI_DISABLE_TELEMETRY=true", "CREWAI_TRACING_ENABLED=false"]),
            ({"CREWAI_DISABLE_TELEMETRY": "true"}, ["CREWAI_TRACING_ENABLED=false"]),
            ({"CREWAI_DISABLE_TELEMETRY": "true", "CREWAI_TRACING_ENABLED": "false"}, []),
        ],
    )
    def test_it_says_what_of_crewai_s_own_delays_a_process_and_how_to_turn_that_off(
        self, monkeypatch, environment, turns_off
    ):
        for name in ("CREWAI_DISABLE_TELEMETRY", "CREWAI_TRACING_ENABLED"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        (adapter,) = plugin.register_adapters()
        assert [re.search(r"CREWAI_\w+=\w+", note)[0] for note in adapter.notes()] == turns_off


class TestStores:
    def test_an_error_of_ours_with_one_store_leaves_the_other_whole(self, db, serve, install, monkeypatch):
        install()
        (broken,) = delivery.trackers()
        second = counterfoil_crewai.CounterfoilListener(db.with_name("other.db"))
        monkeypatch.setattr(type(broken), "place", _broken_for(broken, type(broken).place))
        before = dict(guard._counts)
        try:
            alone("clerk", model(serve(DONE))).kickoff()
        finally:
            second.close()
        assert guard.counted() != before
        guard._counts.clear()
        guard._counts.update(before)
        assert outline(db.with_name("other.db")) == (
            "workflow office\n  task task\n    agent clerk\n      llm OpenAICompletion [clerk]"
        )


def _broken_for(one, original):
    def place(self, event, *, root):
        return _broken() if self is one else original(self, event, root=root)

    return place
