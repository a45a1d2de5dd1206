"""What of CrewAI becomes which step, and in which run."""

import asyncio
import contextvars
import sys
import threading

import pytest
from chromadb import EmbeddingFunction
from crewai import Process
from crewai.agent.planning_config import PlanningConfig
from crewai.events import BaseEventListener, crewai_event_bus
from crewai.events.types.observation_events import PlanStepCompletedEvent, PlanStepStartedEvent
from crewai.flow.flow import Flow, start
from crewai.knowledge.source.string_knowledge_source import StringKnowledgeSource
from crewai.mcp import MCPServerStdio
from crewai.memory.unified_memory import Memory
from crewai.rag.embeddings.providers.custom.embedding_callable import CustomEmbeddingFunction
from crewai.tools import tool

import counterfoil
from counterfoil_crewai import CounterfoilListener
from crewai_apps import agent, alone, crew, model, search, task
from outline import outline, outlines
from support_desk.endpoint import Reply, Rule, call, in_turn

pytestmark = pytest.mark.usefixtures("listening")

DONE = [Rule(Reply("done"))]


def one(db):
    """Give the only run, and its steps by `kind name`."""
    with counterfoil.open(db) as store:
        (run,) = store.runs(all=True)
        return run, {f"{step.kind} {step.name}": step for step in store.steps(run)}


class TestCrew:
    def test_a_crew_a_task_an_agent_its_calls(self, db, serve):
        script = in_turn(Reply(calls=[call("search", query="tea")]), Reply("done"))
        alone("clerk", model(serve(script)), search).kickoff()
        assert outline(db) == (
            "workflow office\n"
            "  task task\n"
            "    agent clerk\n"
            "      llm OpenAICompletion [clerk]\n"
            "      tool search [clerk]\n"
            "      llm OpenAICompletion [clerk]"
        )

    def test_inputs_and_outputs(self, db, serve):
        who = agent("clerk", model(serve(DONE)))
        crew(task(who, "Count {what}", name="count")).kickoff(inputs={"what": "apples"})
        run, steps = one(db)
        assert (run.input, run.output) == ({"what": "apples"}, "done")
        given = steps["task count"].input
        assert given == {"description": "Count apples", "expected_output": "One line"}
        assert "Count apples" in steps["agent clerk"].input
        assert steps["agent clerk"].output == "done"

    def test_a_task_is_told_what_it_was_given_of_those_before(self, db, serve):
        who = agent("clerk", model(serve(DONE)))
        crew(task(who, name="first"), task(who, name="second")).kickoff()
        assert one(db)[1]["task second"].input["context"] == "done"

    def test_a_role_filled_with_inputs_stays_one_agent(self, db, serve):
        office = alone("clerk for {city}", model(serve(DONE)))
        for city in ("Oslo", "Bergen"):
            office.kickoff(inputs={"city": city})
        with counterfoil.open(db) as store:
            assert [(one.agent, one.runs) for one in store.agents()] == [("clerk for {city}", 2)]

    def test_white_space_in_a_role_is_no_part_of_its_name(self, db, serve):
        alone("  clerk \n of   all ", model(serve(DONE))).kickoff()
        assert "agent clerk of all" in one(db)[1]

    def test_a_description_is_no_name(self, db, serve):
        alone("clerk", model(serve(DONE))).kickoff()
        assert "task task" in one(db)[1]

    def test_agents_that_crewai_makes_are_marked(self, db, serve):
        llm = model(serve(DONE))
        office = crew(task(None), agents=[agent("clerk", llm)], process=Process.hierarchical, manager_llm=llm)
        office.kickoff()
        with counterfoil.open(db) as store:
            assert [(one.agent, one.internal) for one in store.agents()] == [("Crew Manager", True)]

    def test_an_agent_asked_by_itself_is_a_run(self, db, serve):
        agent("clerk", model(serve(DONE))).kickoff("hello")
        assert outline(db) == "agent clerk\n  llm OpenAICompletion [clerk]"

    def test_a_bare_model_call_is_a_run_without_an_agent(self, db, serve):
        model(serve(DONE)).call("hello")
        assert outline(db) == "llm OpenAICompletion"


class TestRuns:
    def test_each_kickoff_is_a_run(self, db, serve):
        office = alone("clerk", model(serve(DONE)))
        office.kickoff()
        office.kickoff()
        office.kickoff_for_each([{"n": 1}, {"n": 2}])
        with counterfoil.open(db) as store:
            assert len({run.run_id for run in store.runs()}) == 4

    def test_a_run_around_holds_all(self, db, serve):
        office = alone("clerk", model(serve(DONE)))
        with counterfoil.run("batch", db=db, task="refund", labels={"tier": "gold"}, session="s-1"):
            office.kickoff()
            office.kickoff()
        run, _ = one(db)
        assert (run.name, run.task, run.session_id, run.labels) == (
            "batch",
            "refund",
            "s-1",
            {"tier": "gold"},
        )
        assert run.agents == 1
        assert run.llm_calls == 2

    @pytest.mark.slow
    async def test_at_once_in_asyncio(self, db, serve):
        llm = model(serve(DONE))
        await asyncio.gather(*(alone(f"clerk{n}", llm).akickoff() for n in range(3)))
        await asyncio.gather(*(alone(f"clerk{n}", llm).kickoff_async() for n in range(3, 6)))
        with counterfoil.open(db) as store:
            assert sorted(
                tuple(one.agent for one in store.steps(run) if one.kind == "llm") for run in store.runs()
            ) == [(f"clerk{n}",) for n in range(6)]

    def test_at_once_in_threads_with_one_crew(self, db, serve):
        office, came = alone("clerk", model(serve(DONE))), {}

        def work(number):
            try:
                office.kickoff({"n": number})
            except RuntimeError:
                # crewai 1.15.30: "Executor is already running", if another thread is in it just then.
                came[number] = ("error", 0)
            else:
                came[number] = ("ok", 1)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with counterfoil.open(db) as store:
            runs = store.runs()
        assert {run.input["n"]: (run.status, run.llm_calls) for run in runs} == came
        assert "ok" in {run.status for run in runs}
        assert {run.open_steps for run in runs} == {0}

    def test_a_step_of_the_hosts_in_between(self, db, serve):
        llm = model(serve(DONE))

        @tool("ask")
        def ask(query: str) -> str:
            """Ask."""
            with counterfoil.step("lookup", db=db):
                return agent("expert", llm).kickoff(query).raw

        script = in_turn(Reply(calls=[call("ask", query="tea")]), Reply("done"))
        alone("clerk", model(serve(script)), ask).kickoff()
        assert outline(db) == (
            "workflow office\n"
            "  task task\n"
            "    agent clerk\n"
            "      llm OpenAICompletion [clerk]\n"
            "      tool ask [clerk]\n"
            "        other lookup [clerk]\n"
            "          agent expert\n"
            "            llm OpenAICompletion [expert]\n"
            "      llm OpenAICompletion [clerk]\n"
            "clerk -> expert escalation returned inferred: tea"
        )

    def test_inside_a_langgraph_node(self, db, serve):
        from counterfoil_langchain import CounterfoilHandler
        from langgraph_apps import HI, graph

        office = alone("clerk", model(serve(DONE)))

        def work(state):
            return {"messages": [("ai", office.kickoff().raw)]}

        graph(("__start__", "work"), work=work).invoke(HI, {"callbacks": [CounterfoilHandler(db)]})
        assert outline(db) == (
            "workflow LangGraph\n"
            "  task work\n"
            "    workflow office\n"
            "      task task\n"
            "        agent clerk\n"
            "          llm OpenAICompletion [clerk]"
        )

    def test_a_crew_in_a_thread_without_context_is_a_run_of_its_own(self, db, serve):
        llm = model(serve(DONE))

        @tool("ask")
        def ask(query: str) -> str:
            """Ask."""
            thread = threading.Thread(target=alone("expert", llm, name="inner").kickoff)
            thread.start()
            thread.join()
            return "asked"

        script = in_turn(Reply(calls=[call("ask", query="tea")]), Reply("done"))
        alone("clerk", model(serve(script)), ask, name="outer").kickoff()
        with counterfoil.open(db) as store:
            assert {run.name: run.agents for run in store.runs()} == {"outer": 1, "inner": 1}


def embedded(texts):
    return [[float(len(text) % 7), 1.0, 2.0] for text in texts]


class Embedding(CustomEmbeddingFunction, EmbeddingFunction):
    def __init__(self, *_, **__):
        pass

    def __call__(self, input):  # noqa: A002 -- Chroma's name
        import numpy as np

        return [np.array(one, dtype=np.float32) for one in embedded(input)]

    @staticmethod
    def name():
        return "counted"

    def get_config(self):
        return {}

    @staticmethod
    def build_from_config(config):
        return Embedding()


class TestReads:
    def test_memory_is_searched_and_written(self, db, serve, tmp_path):
        memory = Memory(llm=model(serve(DONE)), embedder=embedded, storage=str(tmp_path / "memory"))
        memory.remember("tea is green", scope="/", categories=["x"], importance=0.5)
        crew(task(agent("clerk", model(serve(DONE))), "tea"), memory=memory).kickoff()
        with counterfoil.open(db) as store:
            steps = [
                step for run in store.runs(all=True) for step in store.steps(run) if step.kind == "memory"
            ]
            (read,) = store.accesses()
        assert {step.name for step in steps} >= {"retrieval", "query"}
        assert {step.status for step in steps} == {"ok"}
        assert (read.source, read.item_id) == ("memory", None)
        assert read.query
        assert read.bytes

    @pytest.mark.filterwarnings(  # CrewAI 1.15 calls a function of its own that it calls deprecated
        "ignore:Use `crewai.utilities.import_utils:DeprecationWarning"
    )
    def test_knowledge_is_a_retrieval(self, db, serve):
        source = StringKnowledgeSource(content="Tea is green")
        embedder = {"provider": "custom", "config": {"embedding_callable": Embedding}}
        who = agent("clerk", model(serve(DONE)), knowledge_sources=[source], embedder=embedder)
        crew(task(who, "What is tea?")).kickoff()
        with counterfoil.open(db) as store:
            (run,) = store.runs()
            (retrieval,) = [step for step in store.steps(run) if step.kind == "retrieval"]
            (read,) = store.accesses(run)
        assert (retrieval.name, read.source, read.step_id) == ("knowledge", "knowledge", retrieval.step_id)
        assert "Tea is green" in retrieval.output
        assert read.bytes == len(retrieval.output)


SERVER = """
from mcp.server.fastmcp import FastMCP

server = FastMCP("demo", log_level="ERROR")


@server.tool()
def double(n: int) -> int:
    "Double."
    return 2 * n


server.run()
"""


class TestAllElse:
    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore::ResourceWarning")  # CrewAI's own client leaves a stream open
    def test_a_tool_of_an_mcp_server_is_one_step(self, db, serve, tmp_path):
        (tmp_path / "server.py").write_text(SERVER)
        server = MCPServerStdio(command=sys.executable, args=[str(tmp_path / "server.py")])

        def script(request):
            (double,) = request.offered  # named after the server's command line
            return Reply("done") if request.results else Reply(calls=[call(double, n=4)])

        alone("clerk", model(serve(script)), mcps=[server]).kickoff()
        with counterfoil.open(db) as store:
            (used,) = store.tool_calls()
            kinds = [step.kind for step in store.steps(store.run("last"))]
        assert (used.arguments, used.result, used.status) == ({"n": 4}, "8", "ok")
        assert sorted(kinds) == ["agent", "llm", "llm", "task", "tool", "workflow"]

    def test_reasoning(self, db, serve):
        script = [Rule(Reply("READY: I am ready to execute the task."))]
        alone("clerk", model(serve(script)), planning_config=PlanningConfig(max_attempts=1)).kickoff()
        assert outline(db) == (
            "workflow office\n"
            "  task task\n"
            "    agent clerk\n"
            "      other reasoning [clerk]\n"
            "        llm OpenAICompletion [clerk]\n"
            "      llm OpenAICompletion [clerk]"
        )

    def test_a_guardrail_that_says_no_has_the_task_done_again(self, db, serve):
        verdicts = iter([(False, "too short"), (True, "done")])

        def long_enough(output):
            return next(verdicts)

        crew(task(agent("clerk", model(serve(DONE))), guardrail=long_enough)).kickoff()
        assert outline(db) == (
            "workflow office\n"
            "  task task\n"
            "    agent clerk\n"
            "      llm OpenAICompletion [clerk]\n"
            "    guardrail long_enough\n"
            "    agent clerk\n"
            "      llm OpenAICompletion [clerk]\n"
            "    guardrail long_enough"
        )

    def test_a_guardrail_says_why(self, db, serve):
        verdicts = iter([(False, "too short"), (True, "done")])

        def long_enough(output):
            return next(verdicts)

        crew(task(agent("clerk", model(serve(DONE))), guardrail=long_enough)).kickoff()
        with counterfoil.open(db) as store:
            steps = [step for step in store.steps(store.run("last")) if step.kind == "guardrail"]
        assert [(step.status, step.output) for step in steps] == [
            ("ok", {"rejected": "too short"}),
            ("ok", "done"),
        ]

    def test_what_is_no_scope_to_crewai_is_joined_by_its_number(self, db):
        def told(kind, number, **facts):
            crewai_event_bus.emit(None, kind(agent_role="clerk", step_number=number, **facts))

        class Office(Flow):
            @start()
            def work(self):
                told(PlanStepStartedEvent, 1, step_description="look")
                told(PlanStepStartedEvent, 2, step_description="write")
                told(PlanStepCompletedEvent, 1, result="seen")
                told(PlanStepCompletedEvent, 2, success=False, error="no ink")

        Office().kickoff()
        with counterfoil.open(db) as store:
            steps = [step for step in store.steps(store.run("last")) if step.kind == "other"]
        assert [(step.input, step.output, step.status, step.error_message) for step in steps] == [
            ("look", "seen", "ok", None),
            ("write", None, "error", "no ink"),
        ]

    def test_a_guardrail_in_words_asks_an_agent_of_crewais(self, db, serve):
        script = [Rule(Reply('{"valid": true, "feedback": null}'))]
        crew(task(agent("clerk", model(serve(script))), guardrail="be polite")).kickoff()
        assert outline(db).endswith(
            "    guardrail guardrail\n"
            "      agent Guardrail Agent\n"
            "        llm OpenAICompletion [Guardrail Agent]"
        )

    def test_planning_is_an_agents_task(self, db, serve):
        plan = '{"list_of_plans_per_task": [{"task_number": 1, "task": "Work", "plan": "do"}]}'
        llm = model(serve([Rule(Reply(plan))]))
        crew(task(agent("clerk", llm)), planning=True, planning_llm=llm).kickoff()
        assert outline(db) == (
            "workflow office\n"
            "  task task\n"
            "    agent Task Execution Planner\n"
            "      llm OpenAICompletion [Task Execution Planner]\n"
            "  task task\n"
            "    agent clerk\n"
            "      llm OpenAICompletion [clerk]"
        )


class TestListener:
    def test_it_is_one_of_crewais(self, listening):
        assert isinstance(listening, BaseEventListener)

    def test_two_on_one_store_record_once(self, db, serve):
        second = CounterfoilListener(db)
        try:
            alone("clerk", model(serve(DONE))).kickoff()
        finally:
            second.close()
        assert one(db)[0].llm_calls == 1

    def test_two_stores_record_in_full_each(self, db, serve):
        other = db.with_name("other.db")
        second = CounterfoilListener(other)
        try:
            alone("clerk", model(serve(DONE))).kickoff()
        finally:
            second.close()
        assert outlines(db) == outlines(other) != ""

    def test_closed_it_records_no_more(self, db, serve, listening):
        listening.close()
        listening.close()
        alone("clerk", model(serve(DONE))).kickoff()
        assert not db.with_name("counterfoil.db.tape").exists()

    def test_other_listeners_of_the_process_do_not_hide_it(self, db, serve):
        with crewai_event_bus.scoped_handlers():
            alone("clerk", model(serve(DONE))).kickoff()
        assert one(db)[0].llm_calls == 1

    def test_a_host_whose_context_is_fresh(self, db, serve):
        office = alone("clerk", model(serve(DONE)))
        contextvars.Context().run(office.kickoff)
        assert one(db)[0].status == "ok"

    def test_two_on_one_store_say_once_that_a_hook_said_no(self, db, serve):
        from crewai.hooks import register_before_tool_call_hook, unregister_before_tool_call_hook

        def no(_):
            return False

        script = in_turn(Reply(calls=[call("search", query="tea")]), Reply("done"))
        second = CounterfoilListener(db)
        register_before_tool_call_hook(no)
        try:
            alone("clerk", model(serve(script)), search).kickoff()
        finally:
            unregister_before_tool_call_hook(no)
            second.close()
        with counterfoil.open(db) as store:
            assert [decision.verdict for decision in store.decisions()] == ["deny"]

    def test_an_event_that_is_sent_twice_is_one_step(self, db):
        class Office(Flow):
            @start()
            def work(self):
                event = PlanStepStartedEvent(agent_role="clerk", step_number=1, step_description="look")
                crewai_event_bus.emit(None, event)
                crewai_event_bus.emit(None, event)

        Office().kickoff()
        with counterfoil.open(db) as store:
            kinds = [step.kind for step in store.steps(store.run("last"))]
        assert kinds == ["workflow", "task", "other"]


class TestMachinery:
    def test_a_flow_of_crewais_own_and_its_methods_are_no_steps(self, db, serve):
        llm = model(serve(DONE))

        class Recall(Flow):
            is_crewai_internal = True  # as CrewAI marks its executors, whose methods say nothing in 1.15.30

            @start()
            def look(self):
                return llm.call("hello")

        class Office(Flow):
            @start()
            async def work(self):
                return await Recall().kickoff_async()

        Office().kickoff()
        assert outline(db) == "workflow Office\n  task work\n    llm OpenAICompletion"
