"""Which runs of LangChain and LangGraph are steps, of which kind, and what they are called."""

import asyncio
import threading
from typing import TypedDict

import pytest
from inline_snapshot import snapshot
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, PIIMiddleware
from langchain_core.callbacks import dispatch_custom_event
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig, RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import START, MessagesState
from langgraph.prebuilt import ToolNode, create_react_agent, tools_condition

import counterfoil
from counterfoil_langchain.tracker import trackers
from langgraph_apps import HI, add, asks, graph
from ordered_model import calls, model
from outline import outline, outlines


class TestAgent:
    def test_an_agents_model_and_tools_nodes_are_folded_into_it(self, db, config):
        create_agent(
            model(calls(("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4})), "done"), [add], name="adder"
        ).invoke(HI, config)
        assert outline(db) == snapshot("""\
agent adder
  llm OrderedModel [adder]
  tool add [adder]
  tool add [adder]
  llm OrderedModel [adder]\
""")

    def test_async_gives_the_same_steps(self, db, config):
        agent = create_agent(model(calls(("add", {"a": 1, "b": 2})), "done"), [add], name="adder")
        asyncio.run(agent.ainvoke(HI, config))
        assert outline(db) == snapshot("""\
agent adder
  llm OrderedModel [adder]
  tool add [adder]
  llm OrderedModel [adder]\
""")

    def test_its_name_stands_also_where_the_run_has_another(self, db, config):
        create_agent(model("done"), [], name="adder").invoke(HI, config | {"run_name": "nightly"})
        assert outline(db) == snapshot("""\
agent adder
  llm OrderedModel [adder]\
""")

    def test_without_a_name_it_is_an_unnamed_agent(self, db, config):
        create_agent(model("done"), []).invoke(HI, config)
        assert outline(db) == snapshot("""\
agent unnamed agent
  llm OrderedModel [unnamed agent]\
""")

    def test_an_unnamed_sub_agent_does_not_take_its_callers_name(self, db, config):
        inner = create_agent(model("inner"), [])

        @tool
        def ask(question: str) -> str:
            """Ask."""
            return inner.invoke({"messages": [("user", question)]})["messages"][-1].text

        create_agent(model(calls(("ask", {"question": "why"})), "done"), [ask], name="boss").invoke(
            HI, config
        )
        assert outline(db) == snapshot("""\
agent boss
  llm OrderedModel [boss]
  tool ask [boss]
    agent unnamed agent ~inferred
      llm OrderedModel [unnamed agent]
  llm OrderedModel [boss]
boss -> unnamed agent escalation returned inferred: why\
""")

    def test_a_plain_graph_in_an_agents_tool_is_not_taken_for_create_agents(self, db, config):
        inner = graph((START, "read"), ("read", "write"), read=asks("r"), write=asks("w"))

        @tool
        def ask(question: str) -> str:
            """Ask."""
            return inner.invoke({"messages": [("user", question)]})["messages"][-1].text

        create_agent(model(calls(("ask", {"question": "why"})), "done"), [ask], name="boss").invoke(
            HI, config
        )
        assert outline(db) == snapshot("""\
agent boss
  llm OrderedModel [boss]
  tool ask [boss]
    workflow LangGraph [boss]
      agent read ~inferred
        llm OrderedModel [read]
      agent write ~inferred
        llm OrderedModel [write]
  llm OrderedModel [boss]
boss -> LangGraph escalation returned inferred to a workflow: why
read -> write route accepted inferred\
""")

    def test_create_react_agent_is_one_by_its_shape(self, db, config):
        with pytest.warns(DeprecationWarning, match="create_react_agent has been moved"):
            agent = create_react_agent(model(calls(("add", {"a": 1, "b": 2})), "done"), [add], name="reactor")
        agent.invoke(HI, config)
        assert outline(db) == snapshot("""\
agent reactor ~inferred
  llm OrderedModel [reactor]
  tool add [reactor]
  llm OrderedModel [reactor]\
""")

    def test_a_middlewares_hooks_are_guardrails(self, db, config):
        class Watch(AgentMiddleware):
            def before_model(self, state, runtime):
                return None

            def after_model(self, state, runtime):
                return None

        create_agent(
            model("done"), [], name="careful", middleware=[Watch(), PIIMiddleware("email", strategy="redact")]
        ).invoke(HI, config)
        assert outline(db) == snapshot("""\
agent careful
  guardrail Watch.before_model [careful]
  guardrail PIIMiddleware[email].before_model [careful]
  llm OrderedModel [careful]
  guardrail PIIMiddleware[email].after_model [careful]
  guardrail Watch.after_model [careful]\
""")


class TestGraph:
    def test_its_nodes_are_tasks_and_its_routers_are_folded(self, db, config):
        class State(TypedDict):
            x: int

        def choose(state):
            return "small"

        graph(
            (START, "read"),
            ("read", choose, ["small", "big"]),
            state=State,
            name="sorter",
            read=lambda state: {"x": 1},
            small=lambda state: {},
            big=lambda state: {},
        ).invoke({"x": 0}, config)
        assert outline(db) == snapshot("""\
workflow sorter
  task read
  task small\
""")

    def test_one_node_that_calls_a_model_makes_the_graph_an_agent(self, db, config):
        graph(
            (START, "chat"),
            ("chat", tools_condition),
            ("tools", "chat"),
            name="helper",
            chat=asks(calls(("add", {"a": 1, "b": 2})), "done"),
            tools=ToolNode([add]),
        ).invoke(HI, config)
        assert outline(db) == snapshot("""\
agent helper ~inferred
  task chat [helper]
    llm OrderedModel [helper]
  task tools [helper]
    tool add [helper]
  task chat [helper]
    llm OrderedModel [helper]\
""")

    def test_such_a_graph_without_a_name_is_called_by_that_node(self, db, config):
        graph((START, "chat"), chat=asks("done")).invoke(HI, config)
        assert outline(db) == snapshot("""\
agent chat ~inferred
  task chat [chat]
    llm OrderedModel [chat]\
""")

    def test_several_nodes_that_call_models_are_an_agent_each(self, db, config):
        def more(state):
            return "tools" if state["messages"][-1].tool_calls else "editor"

        graph(
            (START, "writer"),
            ("writer", more, ["tools", "editor"]),
            ("tools", "writer"),
            writer=asks(calls(("add", {"a": 1, "b": 2})), "written"),
            tools=ToolNode([add]),
            editor=asks("edited"),
        ).invoke(HI, config)
        assert outline(db) == snapshot("""\
workflow LangGraph
  agent writer ~inferred
    llm OrderedModel [writer]
  task tools [writer]
    tool add [writer]
  task writer [writer]
    llm OrderedModel [writer]
  agent editor ~inferred
    llm OrderedModel [editor]
writer -> editor route accepted native by more\
""")

    def test_a_call_before_the_second_agent_is_known_belongs_to_the_first(self, db, config):
        graph((START, "writer"), ("writer", "editor"), writer=asks("a"), editor=asks("b")).invoke(HI, config)
        with counterfoil.open(db) as store:
            assert [call.agent for call in store.llm_calls()] == ["writer", "editor"]
            assert [agent.agent for agent in store.agents()] == ["editor", "writer"]
            assert store.run("last").agents == 2

    def test_an_agent_as_a_node_is_one_step_with_it(self, db, config):
        writer = create_agent(model("written"), [], name="writer")
        graph((START, "writer"), name="press", writer=writer).invoke(HI, config)
        assert outline(db) == snapshot("""\
workflow press
  agent writer
    llm OrderedModel [writer]\
""")

    def test_an_unnamed_agent_as_a_node_is_called_by_it(self, db, config):
        graph((START, "writer"), name="press", writer=create_agent(model("written"), [])).invoke(HI, config)
        assert outline(db) == snapshot("""\
workflow press
  agent writer
    llm OrderedModel [writer]\
""")

    def test_an_agent_in_a_node_of_another_name_stands_in_it(self, db, config):
        writer = create_agent(model("written"), [], name="writer")
        graph(
            (START, "write"), name="press", write=lambda state: {"messages": writer.invoke(state)["messages"]}
        ).invoke(HI, config)
        assert outline(db) == snapshot("""\
workflow press
  task write
    agent writer
      llm OrderedModel [writer]\
""")

    def test_a_graph_as_a_node_is_one_step_with_it(self, db, config):
        inner = graph((START, "chat"), chat=asks("done"))
        graph((START, "inner"), name="outer", inner=inner).invoke(HI, config)
        assert outline(db) == snapshot("""\
workflow outer
  agent inner ~inferred
    task chat [inner]
      llm OrderedModel [inner]\
""")

    def test_functional_tasks_are_tasks(self, db, config):
        @task
        def double(x):
            return 2 * x

        @entrypoint()
        def twice(x):
            return double(x).result() + double(x).result()

        assert twice.invoke(1, config) == 4
        assert outline(db) == snapshot("""\
workflow LangGraph
  task twice
    task double
    task double\
""")


class TestPlumbing:
    def test_prompts_parsers_and_sequences_are_folded(self, db, config):
        chain = ChatPromptTemplate.from_messages([("user", "{x}")]) | model("said") | StrOutputParser()
        graph(
            (START, "chat"), name="g", chat=lambda state: {"messages": [("ai", chain.invoke({"x": "1"}))]}
        ).invoke(HI, config)
        assert outline(db) == snapshot("""\
agent g ~inferred
  task chat [g]
    llm OrderedModel [g]\
""")

    def test_a_chain_of_its_own_is_one_run(self, db, config):
        (ChatPromptTemplate.from_messages([("user", "{x}")]) | model("said") | StrOutputParser()).invoke(
            {"x": "1"}, config
        )
        assert outlines(db) == snapshot("""\
other RunnableSequence
  llm OrderedModel\
""")

    def test_a_users_function_is_a_step_of_its_own(self, db, config):
        @tool
        def shout(text: str) -> str:
            """Shout."""
            return RunnableLambda(str.upper, name="louder").invoke(text)

        shout.invoke({"text": "hi"}, config)
        assert outline(db) == snapshot("""\
tool shout
  other louder\
""")

    def test_bare_calls_are_runs(self, db, config):
        model("x").invoke("q", config)
        add.invoke({"a": 1, "b": 2}, config)
        assert outlines(db) == snapshot("""\
llm OrderedModel
--
tool add\
""")

    def test_a_batch_is_one_run_for_each_item(self, db, config):
        create_agent(model("x"), [], name="one").batch([HI, HI, HI], config)
        assert outlines(db) == snapshot("""\
agent one
  llm OrderedModel [one]
--
agent one
  llm OrderedModel [one]
--
agent one
  llm OrderedModel [one]\
""")

    def test_parallel_branches_stand_side_by_side(self, db, config):
        RunnableParallel(x=add, y=add).invoke({"a": 1, "b": 2}, config)
        assert outline(db) == snapshot("""\
other RunnableParallel<x,y>
  tool add
  tool add\
""")

    def test_an_event_of_the_users_own_is_no_step(self, db, config):
        def notify(x):
            dispatch_custom_event("progress", {"done": 1})
            return x

        RunnableLambda(notify, name="notify").invoke(1, config)
        assert outline(db) == "other notify"


class TestParent:
    def test_a_child_with_callbacks_of_its_own_keeps_its_place(self, db, installed):
        for callbacks in ([], None):

            def chat(state, callbacks=callbacks):
                return {"messages": [model("x").invoke("q", {"callbacks": callbacks})]}

            graph((START, "chat"), name="g", chat=chat).invoke(HI)
        assert outlines(db) == snapshot("""\
agent g ~inferred
  task chat [g]
    llm OrderedModel [g]
--
agent g ~inferred
  task chat [g]
    llm OrderedModel [g]\
""")

    def test_counterfoils_own_run_holds_it(self, db, config):
        with counterfoil.run("night", db=db):
            create_agent(model("a"), [], name="first").invoke(HI, config)
            create_agent(model("b"), [], name="second").invoke(HI, config)
        assert outlines(db) == snapshot("""\
workflow night
  agent first
    llm OrderedModel [first]
  agent second
    llm OrderedModel [second]\
""")

    def test_counterfoils_steps_and_accesses_find_the_node_they_are_in(self, db, config, monkeypatch):
        monkeypatch.setenv("COUNTERFOIL_DB", str(db))

        def chat(state):
            counterfoil.access("crm", items=["ticket-1"])
            with counterfoil.step("look up"):
                answer = model("x").invoke("q")
            return {"messages": [answer]}

        graph((START, "chat"), name="g", chat=chat).invoke(HI, config)
        assert outline(db) == snapshot("""\
agent g ~inferred
  task chat [g]
    other look up [g]
      llm OrderedModel [g]\
""")
        with counterfoil.open(db) as store:
            (access,) = store.accesses()
            assert access.item_id == "ticket-1"
            assert [step.name for step in store.steps("last") if step.step_id == access.step_id] == ["chat"]

    def test_a_thread_wrapped_by_counterfoil_keeps_its_place(self, db, config):
        @tool
        def work(text: str) -> str:
            """Work in a thread."""
            said = []
            thread = threading.Thread(target=counterfoil.wrap(lambda: said.append(model("x").invoke("q"))))
            thread.start()
            thread.join()
            return said[0].text

        create_agent(model(calls(("work", {"text": "a"})), "done"), [work], name="worker").invoke(HI, config)
        assert outline(db) == snapshot("""\
agent worker
  llm OrderedModel [worker]
  tool work [worker]
    llm OrderedModel [worker]
  llm OrderedModel [worker]\
""")

    @pytest.mark.parametrize("told_by", ["context", "config"])
    def test_work_that_goes_on_after_its_run_stays_in_it(self, db, config, told_by):
        go, done = threading.Event(), threading.Event()

        @tool
        def remember(text: str, config: RunnableConfig) -> str:
            """Remember in the background."""

            def later():
                go.wait(10)
                model("kept").invoke("q", config if told_by == "config" else None)
                done.set()

            threading.Thread(target=counterfoil.wrap(later) if told_by == "context" else later).start()
            return "ok"

        create_agent(model(calls(("remember", {"text": "a"})), "done"), [remember], name="keeper").invoke(
            HI, config
        )
        go.set()
        assert done.wait(10)
        assert outlines(db) == snapshot("""\
agent keeper
  llm OrderedModel [keeper]
  tool remember [keeper]
  llm OrderedModel [keeper]
  llm OrderedModel [keeper]\
""")

    def test_work_in_an_executor_that_nobody_wrapped_is_a_run_of_its_own(self, db, installed):
        async def chat(state):
            loop = asyncio.get_running_loop()
            return {"messages": [await loop.run_in_executor(None, lambda: model("x").invoke("q"))]}

        asyncio.run(graph((START, "chat"), name="g", chat=chat).ainvoke(HI))
        assert outlines(db) == snapshot("""\
workflow g
  task chat
--
llm OrderedModel\
""")


class TestFacts:
    def test_a_runs_session_task_and_labels_come_from_its_config(self, db, config):
        create_agent(model("x"), [], name="a", checkpointer=InMemorySaver()).invoke(
            HI,
            config
            | {
                "configurable": {"thread_id": "T1"},
                "tags": ["blue", "new"],
                "metadata": {"counterfoil_task": "greet", "counterfoil_labels": {"team": "red", "round": 3}},
            },
        )
        with counterfoil.open(db) as store:
            run = store.run("last")
        assert (run.session_id, run.task, run.labels) == (
            "T1",
            "greet",
            {"team": "red", "round": "3", "tags": "blue,new"},
        )

    def test_a_models_configuration_is_not_recorded(self, db, config, tmp_path):
        said = model("x")
        said.model_name = "m-1"
        said.metadata = {"key_of_the_model": "canary-in-the-configuration"}
        create_agent(said, [], name="a").invoke(HI, config)
        with counterfoil.open(db):
            pass
        assert all(
            b"canary-in-the-conf" not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
        )

    def test_what_a_graph_is_given_is_recorded_as_it_was_then(self, db, config):
        given = {"messages": [("user", "hi")], "notes": ["first"]}

        class State(MessagesState):
            notes: list

        def change(state):
            state["notes"].append("changed in place")
            return {}

        graph((START, "change"), state=State, change=change).invoke(given, config)
        with counterfoil.open(db) as store:
            run = store.run("last")
        assert run.input["notes"] == ["first"]

    @pytest.mark.slow
    def test_nothing_is_kept_of_a_thousand_runs(self, db, config):
        agent = create_agent(model(calls(("add", {"a": 1, "b": 2})), "done"), [add], name="adder")
        for _ in range(20):
            agent.invoke(HI, config)
        for _ in range(980):
            add.invoke({"a": 1, "b": 2}, config)
        tracker = trackers.of(config["callbacks"][0].recorder)
        assert (tracker.entries, tracker.tentative) == ({}, {})
