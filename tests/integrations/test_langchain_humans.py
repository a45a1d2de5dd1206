"""Pauses for a human: interrupts, breakpoints, human-in-the-loop middleware; and how they go on."""

import asyncio

import pytest
from inline_snapshot import snapshot
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START
from langgraph.prebuilt import ToolNode, create_react_agent, tools_condition
from langgraph.types import Command, interrupt

import counterfoil
from langgraph_apps import HI, add, asks, graph, question
from ordered_model import calls, model
from outline import outline, outlines


@pytest.fixture
def thread(config):
    return config | {"configurable": {"thread_id": "T1"}}


def worker(*asked, tools=(question,), **options):
    return create_agent(
        model(calls(*asked), "done"), list(tools), name="worker", checkpointer=InMemorySaver(), **options
    )


def approving(*asked):
    return worker(*asked, tools=[add], middleware=[HumanInTheLoopMiddleware(interrupt_on={"add": True})])


ADD = ("add", {"a": 1, "b": 2})


class TestQuestion:
    def test_an_interrupt_is_a_question_under_the_tool_that_asked(self, db, thread):
        worker(("question", {"text": "ok?"})).invoke(HI, thread)
        assert outline(db) == snapshot("""\
agent worker waiting
  llm OrderedModel [worker]
  tool question [worker] waiting
    human human [worker] waiting
run: waiting
worker -> human escalation requested native to a human\
""")
        with counterfoil.open(db) as store:
            human = next(step for step in store.steps("last") if step.kind == "human")
            assert human.input == {"question": "ok?"}
            assert store.approvals() == []

    def test_async_gives_the_same(self, db, thread):
        asyncio.run(worker(("question", {"text": "ok?"})).ainvoke(HI, thread))
        assert outline(db) == snapshot("""\
agent worker waiting
  llm OrderedModel [worker]
  tool question [worker] waiting
    human human [worker] waiting
run: waiting
worker -> human escalation requested native to a human\
""")

    def test_the_answer_ends_it_and_the_tool_runs_again(self, db, thread):
        app = worker(("question", {"text": "ok?"}))
        app.invoke(HI, thread)
        app.invoke(Command(resume="yes"), thread)
        assert outlines(db) == snapshot("""\
agent worker waiting
  llm OrderedModel [worker]
  tool question [worker] waiting
    human human [worker]
worker -> human escalation returned native to a human
--
agent worker
  tool question [worker]
  llm OrderedModel [worker]\
""")
        with counterfoil.open(db) as store:
            second, first = store.runs()
            assert (second.resumes, second.first_run_id) == (first.run_id, first.run_id)
            human = next(step for step in store.steps(first) if step.kind == "human")
            assert human.output == "yes"
            # The paused attempt is not counted, the second one is.
            assert [(one.call_id, one.status) for one in store.tool_calls()] == [("call1", "ok")]

    def test_the_runs_may_stand_in_counterfoil_runs_of_one_session(self, db, thread):
        app = worker(("question", {"text": "ok?"}))
        for given in (HI, Command(resume="yes")):
            with counterfoil.run("desk", session="customer-7", db=db):
                app.invoke(given, thread)
        with counterfoil.open(db) as store:
            later, earlier = store.runs()
            human = next(step for step in store.steps(earlier) if step.kind == "human")
        assert (later.resumes, earlier.status, human.output) == (earlier.run_id, "ok", "yes")

    def test_create_react_agent_is_the_same_agent_when_it_goes_on(self, db, thread):
        with pytest.warns(DeprecationWarning, match="create_react_agent has been moved"):
            app = create_react_agent(
                model(calls(("question", {"text": "ok?"})), "done"),
                [question],
                name="asker",
                checkpointer=InMemorySaver(),
            )
        app.invoke(HI, thread)
        app.invoke(Command(resume="yes"), thread)
        assert outlines(db) == snapshot("""\
agent asker waiting ~inferred
  llm OrderedModel [asker]
  tool question [asker] waiting
    human human [asker]
asker -> human escalation returned native to a human
--
agent asker ~inferred
  tool question [asker]
  llm OrderedModel [asker]\
""")

    def test_an_agent_of_ones_own_is_the_same_when_it_goes_on(self, db, thread):
        app = graph(
            (START, "chat"),
            ("chat", tools_condition),
            ("tools", "chat"),
            name="asker",
            checkpointer=InMemorySaver(),
            chat=asks(calls(("question", {"text": "ok?"})), "done"),
            tools=ToolNode([question]),
        )
        app.invoke(HI, thread)
        app.invoke(Command(resume="yes"), thread)
        assert outlines(db) == snapshot("""\
agent asker waiting ~inferred
  task chat [asker]
    llm OrderedModel [asker]
  task tools [asker] waiting
    tool question [asker] waiting
      human human [asker]
asker -> human escalation returned native to a human
--
agent asker ~inferred
  task tools [asker]
    tool question [asker]
  task chat [asker]
    llm OrderedModel [asker]\
""")

    def test_one_in_a_node_stands_under_it(self, db, thread):
        def check(state):
            return {"messages": [("user", interrupt("ok?"))]}

        app = graph((START, "check"), name="g", check=check, checkpointer=InMemorySaver())
        app.invoke(HI, thread)
        app.invoke(Command(resume="yes"), thread)
        assert outlines(db) == snapshot("""\
workflow g waiting
  task check waiting
    human human
None -> human escalation returned native to a human
--
workflow g
  task check\
""")

    def test_one_in_an_agent_within_a_graph_pauses_all_of_it(self, db, thread):
        inner = create_agent(model(calls(("question", {"text": "ok?"})), "done"), [question], name="inner")
        app = graph((START, "inner"), name="outer", inner=inner, checkpointer=InMemorySaver())
        app.invoke(HI, thread)
        app.invoke(Command(resume="yes"), thread)
        assert outlines(db) == snapshot("""\
workflow outer waiting
  agent inner waiting
    llm OrderedModel [inner]
    tool question [inner] waiting
      human human [inner]
inner -> human escalation returned native to a human
--
workflow outer
  agent inner
    tool question [inner]
    llm OrderedModel [inner]\
""")

    def test_two_at_once_are_answered_by_their_ids(self, db, thread):
        app = worker(("question", {"text": "first?"}), ("question", {"text": "second?"}))
        paused = app.invoke(HI, thread)["__interrupt__"]
        answers = {one.id: one.value["question"].replace("?", "!") for one in paused}
        app.invoke(Command(resume=answers), thread)
        with counterfoil.open(db) as store:
            humans = [step for step in store.steps(store.runs()[1]) if step.kind == "human"]
            assert sorted((step.input["question"], step.output) for step in humans) == [
                ("first?", "first!"),
                ("second?", "second!"),
            ]

    def test_the_same_question_is_there_once_however_often_it_is_told(self, db, thread):
        worker(("question", {"text": "ok?"})).invoke(HI, thread)
        with counterfoil.open(db) as store:
            # on_tool_error, on_chain_error of the node and on_interrupt all tell of it
            assert [step.kind for step in store.steps("last")].count("human") == 1

    def test_another_question_of_the_same_tool_comes_after_the_first_answer(self, db, thread):
        @tool
        def twice(text: str) -> str:
            """Ask twice."""
            return interrupt("first?") + interrupt("second?")

        app = worker(("twice", {"text": "a"}), tools=[twice])
        app.invoke(HI, thread)
        app.invoke(Command(resume="1"), thread)
        app.invoke(Command(resume="2"), thread)
        with counterfoil.open(db) as store:
            asked = [
                step for run in reversed(store.runs()) for step in store.steps(run) if step.kind == "human"
            ]
            assert [(step.input, step.output, step.status) for step in asked] == [
                ("first?", "1", "ok"),
                ("second?", "2", "ok"),
            ]
            assert [run.status for run in store.runs()] == ["ok", "ok", "ok"]

    @pytest.mark.parametrize("by_id", [True, False])
    def test_one_that_stays_open_through_two_pauses_is_answered_wherever_it_was_asked(
        self, db, thread, by_id
    ):
        app = worker(("question", {"text": "ok?"}))
        app.invoke(HI, thread)
        (asked,) = app.invoke(None, thread)["__interrupt__"]
        with counterfoil.open(db) as store:
            assert [run.status for run in store.runs()] == ["waiting", "waiting"]
        app.invoke(Command(resume={asked.id: "yes"} if by_id else "yes"), thread)
        with counterfoil.open(db) as store:
            third, second, first = store.runs()
            assert [third.resumes, second.resumes, first.resumes] == [second.run_id, first.run_id, None]
            assert {run.first_run_id for run in (third, second, first)} == {first.run_id}
            assert [run.status for run in (third, second, first)] == ["ok", "ok", "ok"]
            questions = [step for run in (first, second) for step in store.steps(run) if step.kind == "human"]
            assert {(step.status, step.output, step.native_id) for step in questions} == {
                ("ok", "yes", asked.id)
            }
            assert len(questions) == 2

    def test_steps_of_the_user_s_own_around_the_question_wait_too(self, db, thread, monkeypatch):
        monkeypatch.setenv("COUNTERFOIL_DB", str(db))

        @counterfoil.tool
        def form(state):
            return {"messages": [("user", interrupt("ok?"))]}

        app = graph((START, "check"), name="g", check=form, checkpointer=InMemorySaver())
        app.invoke(HI, thread)
        assert outline(db) == snapshot("""\
workflow g waiting
  task check waiting
    tool form waiting
    human human waiting
run: waiting
None -> human escalation requested native to a human\
""")

    def test_a_pause_is_no_error(self, db, thread):
        worker(("question", {"text": "ok?"})).invoke(HI, thread)
        with counterfoil.open(db) as store:
            run = store.run("last")
        assert (run.errors, run.status) == (0, "waiting")

    def test_the_next_turn_of_a_chat_resumes_nothing(self, db, thread):
        app = create_agent(model("a", "b"), [], name="chatty", checkpointer=InMemorySaver())
        app.invoke(HI, thread)
        app.invoke(HI, thread)
        with counterfoil.open(db) as store:
            assert [run.resumes for run in store.runs()] == [None, None]


class TestBreakpoint:
    def test_a_stop_before_a_node_is_a_question_that_going_on_answers(self, db, thread):
        app = worker(ADD, tools=[add], interrupt_before=["tools"])
        app.invoke(HI, thread)
        app.invoke(None, thread)
        assert outlines(db) == snapshot("""\
agent worker waiting
  llm OrderedModel [worker]
  human human [worker]
worker -> human escalation returned native to a human
--
agent worker
  tool add [worker]
  llm OrderedModel [worker]\
""")

    def test_it_is_seen_by_an_installed_handler_too(self, db, installed):
        app = worker(ADD, tools=[add], interrupt_before=["tools"])
        app.invoke(HI, {"configurable": {"thread_id": "T1"}})
        assert outline(db) == snapshot("""\
agent worker waiting
  llm OrderedModel [worker]
  human human [worker] waiting
run: waiting
worker -> human escalation requested native to a human\
""")

    def test_it_is_seen_by_an_installed_handler_in_asyncio_too(self, db, installed):
        app = worker(ADD, tools=[add], interrupt_after=["model"])
        asyncio.run(app.ainvoke(HI, {"configurable": {"thread_id": "T1"}}))
        asyncio.run(app.ainvoke(None, {"configurable": {"thread_id": "T1"}}))
        assert outlines(db) == snapshot("""\
agent worker waiting
  llm OrderedModel [worker]
  human human [worker]
worker -> human escalation returned native to a human
--
agent worker waiting
  tool add [worker]
  llm OrderedModel [worker]
  human human [worker] waiting
run: waiting
worker -> human escalation requested native to a human\
""")


class TestApproval:
    def test_each_action_is_asked_for_by_itself(self, db, thread):
        approving(ADD, ("add", {"a": 3, "b": 4})).invoke(HI, thread)
        assert outline(db) == snapshot("""\
agent worker waiting
  llm OrderedModel [worker]
  guardrail HumanInTheLoopMiddleware.after_model [worker] waiting
    human human [worker] waiting
    human human [worker] waiting
run: waiting\
""")
        with counterfoil.open(db) as store:
            assert [(one.tool, one.arguments, one.status, one.agent) for one in store.approvals()] == [
                ("add", {"a": 1, "b": 2}, "waiting", "worker"),
                ("add", {"a": 3, "b": 4}, "waiting", "worker"),
            ]
            assert store.handoffs() == []

    @pytest.mark.parametrize(
        ("decision", "status", "comment"),
        [
            ({"type": "approve"}, "approved", None),
            ({"type": "edit", "edited_action": {"name": "add", "args": {"a": 5, "b": 5}}}, "edited", None),
            ({"type": "reject", "message": "too much"}, "rejected", "too much"),
            ({"type": "respond", "message": "it is three"}, "rejected", "it is three"),
        ],
    )
    def test_the_answer_is_recorded_with_its_words(self, db, thread, decision, status, comment):
        app = approving(ADD)
        app.invoke(HI, thread)
        app.invoke(Command(resume={"decisions": [decision]}), thread)
        with counterfoil.open(db) as store:
            assert [(one.status, one.comment) for one in store.approvals()] == [(status, comment)]
            assert store.runs()[1].status == "ok"

    def test_answers_meet_their_actions_in_order(self, db, thread):
        app = approving(ADD, ("add", {"a": 3, "b": 4}))
        app.invoke(HI, thread)
        app.invoke(
            Command(resume={"decisions": [{"type": "approve"}, {"type": "reject", "message": "no"}]}), thread
        )
        with counterfoil.open(db) as store:
            assert [(one.arguments["a"], one.status) for one in store.approvals()] == [
                (1, "approved"),
                (3, "rejected"),
            ]
        assert outlines(db) == snapshot("""\
agent worker waiting
  llm OrderedModel [worker]
  guardrail HumanInTheLoopMiddleware.after_model [worker] waiting
    human human [worker]
    human human [worker]
--
agent worker
  guardrail HumanInTheLoopMiddleware.after_model [worker]
  tool add [worker]
  llm OrderedModel [worker]
  guardrail HumanInTheLoopMiddleware.after_model [worker]\
""")

    def test_answers_by_interrupt_id_meet_their_actions_too(self, db, thread):
        app = approving(ADD, ("add", {"a": 3, "b": 4}))
        (asked,) = app.invoke(HI, thread)["__interrupt__"]
        decisions = {"decisions": [{"type": "reject", "message": "no"}, {"type": "approve"}]}
        app.invoke(Command(resume={asked.id: decisions}), thread)
        with counterfoil.open(db) as store:
            assert [(one.arguments["a"], one.status) for one in store.approvals()] == [
                (1, "rejected"),
                (3, "approved"),
            ]

    def test_langgraphs_older_form_of_question_is_one_too(self, db, thread):
        def check(state):
            request = {
                "action_request": {"action": "add", "args": {"a": 1}},
                "config": {},
                "description": "really?",
            }
            return {"messages": [("user", str(interrupt([request])))]}

        app = graph((START, "check"), check=check, checkpointer=InMemorySaver())
        app.invoke(HI, thread)
        app.invoke(Command(resume=[{"type": "accept", "args": None}]), thread)
        with counterfoil.open(db) as store:
            assert [(one.tool, one.arguments, one.status) for one in store.approvals()] == [
                ("add", {"a": 1}, "approved")
            ]
