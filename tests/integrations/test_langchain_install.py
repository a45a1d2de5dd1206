"""`install` and `uninstall`: every run of the process, without touching the host's own code."""

import asyncio
import importlib.metadata
import logging
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from inline_snapshot import snapshot
from langchain.agents import create_agent
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.runnables import RunnableParallel
from langchain_core.tools import tool
from langgraph import types
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.pregel import main as pregel
from langgraph.types import Send

import counterfoil
import counterfoil_langchain
from counterfoil import adapters
from counterfoil.patches import Patches
from counterfoil_langchain import CounterfoilHandler, plugin
from counterfoil_langchain.attach import installed as is_installed
from langgraph_apps import HI, add, graph
from ordered_model import calls, model
from outline import outline, outlines


def adder():
    return create_agent(model(calls(("add", {"a": 1, "b": 2})), "done"), [add], name="adder")


ADDER = """\
agent adder
  llm OrderedModel [adder]
  tool add [adder]
  llm OrderedModel [adder]\
"""


def in_threads():
    threads = [threading.Thread(target=adder().invoke, args=(HI,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def in_a_pool():
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: adder().invoke(HI), range(3)))


def in_tasks():
    async def main():
        await asyncio.gather(*[asyncio.create_task(adder().ainvoke(HI)) for _ in range(3)])

    asyncio.run(main())


class TestReach:
    @pytest.mark.parametrize("run", [in_threads, in_a_pool, in_tasks], ids=["threads", "pool", "tasks"])
    def test_runs_at_once_are_recorded_apart(self, db, installed, run):
        run()
        assert outlines(db) == "\n--\n".join([ADDER] * 3)

    def test_bare_calls_are_recorded(self, db, installed):
        add.invoke({"a": 1, "b": 2})
        model("x").invoke("q")
        assert outlines(db) == snapshot("""\
tool add
--
llm OrderedModel\
""")

    def test_parallel_branches_keep_their_parent(self, db, installed):
        RunnableParallel(x=add, y=add).invoke({"a": 1, "b": 2})
        assert outline(db) == snapshot("""\
other RunnableParallel<x,y>
  tool add
  tool add\
""")

    def test_sends_and_graphs_within_graphs_keep_theirs(self, db, installed):
        graph(
            (START, "plan"),
            ("plan", lambda state: [Send("work", HI), Send("work", HI)], ["work"]),
            name="g",
            plan=lambda state: {},
            work=create_agent(model("done"), [], name="adder"),
        ).invoke(HI)
        assert outline(db) == snapshot("""\
workflow g
  task plan
  task work
    agent adder
      llm OrderedModel [adder]
  task work
    agent adder
      llm OrderedModel [adder]
router -> adder route accepted native by router
router -> adder route accepted native by router\
""")

    def test_tasks_and_to_thread_keep_theirs(self, db, installed):
        @tool
        async def look(x: int) -> str:
            """Look twice."""
            await asyncio.create_task(model("a").ainvoke("q"))
            await asyncio.to_thread(lambda: model("b").invoke("q"))
            return "ok"

        agent = create_agent(model(calls(("look", {"x": 1})), "done"), [look], name="looker")
        asyncio.run(agent.ainvoke(HI))
        assert outline(db) == snapshot("""\
agent looker
  llm OrderedModel [looker]
  tool look [looker]
    llm OrderedModel [looker]
    llm OrderedModel [looker]
  llm OrderedModel [looker]\
""")

    def test_a_raw_thread_is_a_run_of_its_own(self, db, installed):
        @tool
        def look(x: int) -> str:
            """Look in a thread that nobody told where it is."""
            thread = threading.Thread(target=lambda: model("a").invoke("q"))
            thread.start()
            thread.join()
            return "ok"

        create_agent(model(calls(("look", {"x": 1})), "done"), [look], name="looker").invoke(HI)
        assert outlines(db) == snapshot("""\
agent looker
  llm OrderedModel [looker]
  tool look [looker]
  llm OrderedModel [looker]
--
llm OrderedModel\
""")

    def test_an_agent_with_callbacks_of_its_own_keeps_its_place(self, db, installed):
        graph(
            (START, "work"),
            name="g",
            work=lambda state: adder().invoke(HI, {"callbacks": [BaseCallbackHandler()]}),
        ).invoke(HI)
        assert outline(db) == snapshot("""\
workflow g
  task work
    agent adder
      llm OrderedModel [adder]
      tool add [adder]
      llm OrderedModel [adder]\
""")


class TestInstall:
    def test_twice_records_once(self, db, installed):
        installed.install(db, quiet=True)
        adder().invoke(HI)
        assert outlines(db) == ADDER

    def test_with_a_handler_of_the_same_store_records_once(self, db, installed):
        adder().invoke(HI, {"callbacks": [CounterfoilHandler(db)]})
        assert outlines(db) == ADDER

    def test_another_store_takes_over(self, db, installed, tmp_path):
        adder().invoke(HI)
        installed.install(tmp_path / "other.db", quiet=True)
        adder().invoke(HI)
        assert outlines(db) == ADDER
        assert outlines(tmp_path / "other.db") == ADDER

    def test_undone_it_records_no_more_and_puts_everything_back(self, db):
        before = pregel.get_sync_graph_callback_manager_for_config
        counterfoil_langchain.install(db, quiet=True)
        assert pregel.get_sync_graph_callback_manager_for_config is not before
        adder().invoke(HI)
        counterfoil_langchain.uninstall()
        counterfoil_langchain.uninstall()
        adder().invoke(HI)
        assert outlines(db) == ADDER
        assert pregel.get_sync_graph_callback_manager_for_config is before
        assert not is_installed()

    def test_it_can_be_done_again(self, db):
        for _ in range(2):
            counterfoil_langchain.install(db, quiet=True)
            adder().invoke(HI)
            counterfoil_langchain.uninstall()
        assert outlines(db) == f"{ADDER}\n--\n{ADDER}"

    def test_where_it_records_is_said_once(self, db, capsys, monkeypatch, tmp_path):
        monkeypatch.delenv("COUNTERFOIL_QUIET", raising=False)
        try:
            counterfoil_langchain.install(db)
            counterfoil_langchain.install(db)
            assert capsys.readouterr().err == f"counterfoil records to {db}\n"
            monkeypatch.setenv("COUNTERFOIL_QUIET", "1")
            counterfoil_langchain.install(tmp_path / "quiet.db")
            assert capsys.readouterr().err == ""
        finally:
            counterfoil_langchain.uninstall()

    def test_a_handler_alone_says_nothing(self, db, capsys, monkeypatch):
        monkeypatch.delenv("COUNTERFOIL_QUIET", raising=False)
        adder().invoke(HI, {"callbacks": [CounterfoilHandler(db)]})
        assert capsys.readouterr() == ("", "")


class TestHost:
    def test_other_handlers_see_what_they_saw(self, db, installed):
        class Counting(BaseCallbackHandler):
            def __init__(self):
                self.seen = []

            def on_chain_start(self, *args, **kwargs):
                self.seen.append("chain")

            def on_chat_model_start(self, *args, **kwargs):
                self.seen.append("model")

            def on_tool_start(self, *args, **kwargs):
                self.seen.append("tool")

        counting = Counting()
        adder().invoke(HI, {"callbacks": [counting]})
        assert counting.seen == ["chain", "chain", "model", "chain", "tool", "chain", "model"]

    def test_an_error_of_our_own_does_not_reach_it(self, db, caplog, monkeypatch):
        monkeypatch.delenv("COUNTERFOIL_RAISE", raising=False)
        handler = CounterfoilHandler(db)
        handler.tracker.recorder.start = None  # whatever goes wrong in there
        try:
            assert adder().invoke(HI, {"callbacks": [handler]})["messages"][-1].text == "done"
        finally:
            del handler.tracker.recorder.start
        assert len([record for record in caplog.records if "on_chain_start" in record.getMessage()]) == 1
        from counterfoil import guard

        for place in [place for place in guard.counted() if place.startswith("counterfoil_langchain")]:
            guard._counts.pop(place)  # expected here: the fixture asks for none

    def test_an_end_without_a_start_is_nothing(self, db, config):
        from uuid import uuid4

        (handler,) = config["callbacks"]
        handler.on_chain_end({}, run_id=uuid4())
        handler.on_llm_error(ValueError("x"), run_id=uuid4())
        handler.on_tool_end("x", run_id=uuid4())
        handler.on_llm_new_token("x", run_id=uuid4())
        assert handler.tracker.entries == {}

    def test_a_handler_runs_in_line_so_that_it_sees_events_in_order(self, db, config):
        (handler,) = config["callbacks"]
        assert handler.run_inline
        assert not handler.raise_error
        assert not isinstance(handler, AsyncCallbackHandler)

    def test_what_leaves_it_is_not_stopped(self, db, config):
        @tool
        def leave(x: int) -> str:
            """Leave the program."""
            raise SystemExit(3)

        with pytest.raises(SystemExit):
            create_agent(model(calls(("leave", {"x": 1}))), [leave], name="worker").invoke(HI, config)
        assert outline(db) == snapshot("""\
agent worker error (SystemExit)
  llm OrderedModel [worker]
  tool leave [worker] cancelled
run: error\
""")

    @pytest.mark.skipif(not hasattr(types, "TracePolicy"), reason="this LangGraph has no trace policies yet")
    def test_secrets_are_taken_out_whatever_the_trace_policy(self, db, config, tmp_path):
        secret = "sk-proj-" + "a1B2c3D4" * 5
        hides = types.TracePolicy(process_inputs=lambda _: "hidden", process_outputs=lambda _: "hidden")
        built = StateGraph(MessagesState)
        built.add_node("node", lambda state: {"messages": [("ai", f"key {secret}")]}, trace_policy=hides)
        built.add_edge(START, "node")
        built.compile(name="g").invoke(HI, config)
        with counterfoil.open(db) as store:
            # Such a policy reaches tracers alone; a handler is given everything.
            assert "key [" in str(store.run("last").output)
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert files
        assert [path.name for path in files if secret.encode() in path.read_bytes()] == []


class TestVersions:
    def test_those_installed_here_are_supported(self):
        assert adapters.unsupported(counterfoil_langchain.SUPPORTED) == ()

    def test_another_one_is_said_in_a_sentence(self, monkeypatch, caplog):
        monkeypatch.setattr(importlib.metadata, "version", lambda name: "9.1.0")
        adapters.warn_of_versions.cache_clear()
        with caplog.at_level(logging.WARNING, "counterfoil"):
            adapters.warn_of_versions(counterfoil_langchain.SUPPORTED)
            adapters.warn_of_versions(counterfoil_langchain.SUPPORTED)
        adapters.warn_of_versions.cache_clear()
        assert [record.getMessage() for record in caplog.records] == snapshot(
            [
                "langchain-core 9.1.0 is installed, but this version of counterfoil was tested with langchain-core>=1.4.9,<2: what it records may be incomplete.",
                "langgraph 9.1.0 is installed, but this version of counterfoil was tested with langgraph>=1.2.5,<2: what it records may be incomplete.",
            ]
        )

    def test_the_plugin_imports_no_framework(self):
        code = "import sys, counterfoil_langchain.plugin; print(sorted(m for m in sys.modules if m.startswith('lang')))"
        shown = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert shown.stdout.strip() == "[]"

    @pytest.mark.slow
    def test_a_langgraph_without_graph_callbacks_is_recorded(self, db):
        code = f"""
import sys
sys.modules["langgraph.callbacks"] = None  # as in langgraph 0.6: an import of it fails
from counterfoil_langchain import CounterfoilHandler
from langchain_core.runnables import RunnableLambda
RunnableLambda(str.upper, name="louder").invoke("x", {{"callbacks": [CounterfoilHandler({str(db)!r})]}})
"""
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert outline(db) == "other louder"

    def test_the_plugin_tells_core_of_the_adapter(self):
        (adapter,) = plugin.register_adapters()
        assert adapter.requires == counterfoil_langchain.SUPPORTED
        assert not adapter.installed()

    def test_the_package_names_what_it_gives(self):
        assert {"CounterfoilHandler", "install", "uninstall", "SUPPORTED"} <= set(dir(counterfoil_langchain))
        with pytest.raises(AttributeError, match="nothing"):
            counterfoil_langchain.nothing  # noqa: B018  # the access is the test


class TestPatches:
    def test_they_are_undone_in_reverse(self):
        class Framework:
            call = 1

        patches = Patches()
        patches.replace(Framework, "call", 2)
        patches.replace(Framework, "call", 3)
        patches.replace(Framework, "added", 4)
        assert (Framework.call, Framework.added, len(patches)) == (2, 4, 2)
        patches.undo()
        assert (Framework.call, hasattr(Framework, "added"), len(patches)) == (1, False, 0)

    def test_what_somebody_else_replaced_since_is_left_alone(self):
        class Framework:
            call = 1

        patches = Patches()
        patches.replace(Framework, "call", 2)
        Framework.call = 3
        patches.undo()
        assert Framework.call == 3
