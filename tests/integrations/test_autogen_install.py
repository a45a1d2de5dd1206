"""Attaching to AutoGen: to the whole process or one team, without leaving anything behind or breaking the host."""

import asyncio
import logging
import os
import subprocess
import sys
import threading

import pytest
from autogen_agentchat.agents import BaseChatAgent, CodeExecutorAgent
from autogen_agentchat.teams import BaseGroupChat, DiGraphEdge
from autogen_agentchat.tools import AgentTool
from autogen_core import EVENT_LOGGER_NAME
from autogen_core.logging import LLMCallEvent
from autogen_core.memory import Memory
from autogen_core.models import ChatCompletionClient
from autogen_core.tools import BaseTool, FunctionTool, Workbench

import counterfoil
import counterfoil_autogen
from autogen_apps import agent, asks, replay, search, team
from counterfoil import guard, patches
from counterfoil_autogen import attach, record
from outline import outline

BASES = (BaseGroupChat, BaseChatAgent, ChatCompletionClient, BaseTool, Workbench, Memory)
OTHERS = (CodeExecutorAgent, DiGraphEdge, FunctionTool, LLMCallEvent)


@pytest.fixture
def install(db):
    """`install`, undone when the test ends."""
    yield lambda path=db, **options: counterfoil_autogen.install(path, **{"quiet": True} | options)
    counterfoil_autogen.uninstall()


def runs(path):
    with counterfoil.open(path) as store:
        return store.runs(all=True)


def methods():
    """Give every attribute of every class that might be replaced."""
    kinds = [kind for base in BASES for kind in patches._kinds(base)]
    return {(kind, name): value for kind in (*kinds, *OTHERS) for name, value in vars(kind).items()}


class TestInstall:
    async def test_every_run_of_the_process(self, db, install):
        install()
        await team(agent("ann", "1")).run(task="x")
        assert len(runs(db)) == 1
        assert attach.installed()

    async def test_twice_records_once(self, db, install):
        install()
        install()
        await team(agent("ann", "1")).run(task="x")
        assert runs(db)[0].llm_calls == 1

    async def test_another_store_from_now_on(self, db, install):
        office = team(agent("ann", ["1", "2", "3"]))
        install()
        await office.run(task="x")
        other = db.with_name("other.db")
        install(other)
        await office.run(task="x")
        await office.run(task="x")
        assert (len(runs(db)), len(runs(other))) == (1, 2)

    async def test_it_says_where_once(self, db, install, capsys):
        install(quiet=False)
        install(quiet=False)
        assert capsys.readouterr().err == f"counterfoil records to {db}\n"

    async def test_content_is_left_out_where_asked(self, db, install):
        install(capture="metadata")
        await team(agent("ann", "1")).run(task="x")
        (run,) = runs(db)
        assert (run.name, run.output, run.llm_calls) == ("office", None, 1)

    async def test_uninstalled_nothing_of_ours_is_left(self, db, install):
        before = methods()
        install()
        assert methods() != before
        counterfoil_autogen.uninstall()
        counterfoil_autogen.uninstall()
        assert methods() == before
        await team(agent("ann", "1")).run(task="x")
        assert not attach.installed()
        assert not db.exists()

    async def test_in_the_middle_of_a_run(self, db, install):
        async def attach_now(query: str) -> str:
            install()
            return "attached"

        clerk = agent("ann", [asks(("attach_now", {"query": "x"})), "1"], attach_now, max_tool_iterations=2)
        await team(clerk).run(task="x")
        assert outline(db) == "llm ReplayChatCompletionClient"

    async def test_installed_again_a_class_made_meanwhile_is_recorded(self, db, install):
        install()
        counterfoil_autogen.uninstall()

        class Quiet(type(replay())):
            async def create(self, *args, **kwargs):
                return await super().create(*args, **kwargs)

        install()
        await Quiet(["1"], model_info=replay().model_info).create([])
        assert outline(db) == "llm Quiet"

    async def test_a_class_whose_base_takes_arguments_is_made_as_before(self, install):
        install()

        class Named(BaseChatAgent):
            def __init_subclass__(cls, label="", **options):
                super().__init_subclass__(**options)
                cls.label = label

        class Child(Named, label="x"):
            pass

        assert Child.label == "x"


class TestRecord:
    async def test_one_team_and_all_that_it_calls(self, db, install):
        helper = AgentTool(agent("sub", "s"))
        one = record(team(agent("ann", asks(("sub", {"task": "t"})), helper), name="one"), db)
        other = team(agent("bob", "2"), name="other")
        await asyncio.gather(one.run(task="x"), other.run(task="x"))
        await replay("bare").create([])
        assert len(runs(db)) == 1
        assert outline(db).startswith("workflow one\n  agent ann\n")
        assert "agent sub" in outline(db)
        assert not attach.installed()

    async def test_one_agent(self, db, install):
        ann = record(agent("ann", ["1", "2"]), db, session="customer-7")
        await ann.run(task="x")
        await team(ann).run(task="x")  # the team is not recorded, the agent in it is
        assert [(run.name, run.session_id) for run in runs(db)] == [("ann", "customer-7")] * 2

    async def test_beside_install_one_store_once_and_two_in_full(self, db, install):
        other = db.with_name("other.db")
        install()
        office = record(record(team(agent("ann", "1")), db), other)
        await office.run(task="x")
        assert outline(db) == outline(other)
        assert [run.llm_calls for path in (db, other) for run in runs(path)] == [1, 1]

    async def test_no_team_is_kept_alive(self, db, install):
        import gc
        import weakref

        office = weakref.ref(record(team(agent("ann", "1")), db))
        gc.collect()
        assert office() is None

    async def test_uninstall_ends_it_too(self, db, install):
        office = record(team(agent("ann", "1")), db)
        counterfoil_autogen.uninstall()
        await office.run(task="x")
        assert not db.exists()


class TestPlugin:
    def test_core_knows_it_without_the_framework(self):
        code = (
            "import sys, counterfoil_autogen, counterfoil_autogen.plugin as plugin\n"
            "(adapter,) = plugin.register_adapters()\n"
            "assert adapter.name == 'autogen' and adapter.installed() is False\n"
            "assert counterfoil_autogen.SUPPORTED == adapter.requires\n"
            "assert not any(name.startswith('autogen') for name in sys.modules)\n"
        )
        paths = os.pathsep.join(path for path in sys.path if path)
        subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": paths})

    def test_what_it_exports(self):
        assert dir(counterfoil_autogen) == ["SUPPORTED", "install", "record", "uninstall"]
        with pytest.raises(AttributeError):
            _ = counterfoil_autogen.nothing

    async def test_it_attaches_through_core(self, db):
        from counterfoil_autogen.plugin import register_adapters

        (adapter,) = register_adapters()
        adapter.install(db, quiet=True)
        try:
            assert adapter.installed()
            await team(agent("ann", "1")).run(task="x")
        finally:
            adapter.uninstall()
        assert len(runs(db)) == 1


class TestHost:
    async def test_an_error_of_ours_does_not_reach_it(self, db, install, monkeypatch):
        monkeypatch.setattr("counterfoil.lifecycle.Lifecycle.start", _broken)
        before = dict(guard._counts)
        install()
        done = await team(agent("ann", [asks(("search", {"query": "x"})), "1"], search)).run(task="x")
        assert done.messages[-1].content == "found x"
        assert guard.counted() != before
        guard._counts.clear()
        guard._counts.update(before)

    @pytest.mark.parametrize("room", ["agents", "teams", "models", "tools"])
    async def test_nor_one_in_the_middle(self, db, install, monkeypatch, room):
        monkeypatch.setattr(f"counterfoil_autogen.{room}.ended", _broken, raising=False)
        monkeypatch.setattr("counterfoil_autogen.calls.ended", _broken)
        before = dict(guard._counts)
        install()
        done = await team(agent("ann", [asks(("search", {"query": "x"})), "1"], search)).run(task="x")
        assert done.messages[-1].content == "found x"
        assert guard.counted() != before
        guard._counts.clear()
        guard._counts.update(before)

    async def test_what_the_host_gets_is_the_same(self, db, install):
        def office():
            answers = [asks(("search", {"query": "fail"}), ("nowhere", {})), "done"]
            return team(agent("ann", answers, search, max_tool_iterations=2), agent("bob", "b"))

        def told(items):
            return [(type(one).__name__, getattr(one, "source", None)) for one in items]

        plain = told([one async for one in office().run_stream(task="x")])
        install()
        assert told([one async for one in office().run_stream(task="x")]) == plain

    async def test_its_loggers_stay_as_they_are(self, db, install):
        loggers = [
            logging.getLogger(name) for name in (EVENT_LOGGER_NAME, "autogen_core", "autogen_agentchat")
        ]

        def state():
            return [(one.level, tuple(one.handlers), one.propagate, tuple(one.filters)) for one in loggers]

        before = state()
        install()
        await team(agent("ann", "1")).run(task="x")
        assert state() == before

    async def test_its_spans_stay_as_they_are(self, db, install):
        from autogen_core import SingleThreadedAgentRuntime
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        async def spans():
            exporter, provider = InMemorySpanExporter(), TracerProvider()
            provider.add_span_processor(SimpleSpanProcessor(exporter))
            runtime = SingleThreadedAgentRuntime(tracer_provider=provider, ignore_unhandled_exceptions=False)
            runtime.start()
            await team(agent("ann", "1"), runtime=runtime).run(task="x")
            await runtime.stop_when_idle()
            return sorted(one.name.rpartition("_")[0] for one in exporter.get_finished_spans())

        before = await spans()
        install()
        assert await spans() == before

    async def test_who_wraps_a_method_after_us_stays(self, db, install):
        seen = []
        install()
        ours = BaseGroupChat.run_stream

        async def theirs(self, **options):
            seen.append(self.name)
            async for one in ours(self, **options):
                yield one

        BaseGroupChat.run_stream = theirs
        try:
            counterfoil_autogen.uninstall()
            assert BaseGroupChat.run_stream is theirs
            await team(agent("ann", "1")).run(task="x")
        finally:
            BaseGroupChat.run_stream = ours.__wrapped__
        assert seen == ["office"]
        assert not db.exists()

    def test_teams_in_threads(self, db, install):
        install()

        def work(number):
            asyncio.run(team(agent(f"ann_{number}", "1"), name=f"office_{number}").run(task="x"))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        with counterfoil.open(db) as store:
            assert sorted((run.name[-1], run.agent_names[0][-1]) for run in store.runs()) == [
                (str(number), str(number)) for number in range(8)
            ]


def _broken(*_, **__):
    raise RuntimeError("of our own")
