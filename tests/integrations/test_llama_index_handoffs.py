"""Who passed control to whom, who asked whom, and who came next, in LlamaIndex."""

import asyncio

import pytest
from inline_snapshot import snapshot
from llama_index.core.workflow import Context, Event, StartEvent, StopEvent, Workflow, step

import counterfoil
from llama_index_apps import agent, by_name, model, office, search
from outline import outline
from support_desk.endpoint import Reply, call, in_turn

pytestmark = pytest.mark.usefixtures("llama_index")


class Number(Event):
    n: int


def handoffs(db):
    """Give the handoffs' lines of the last run."""
    return "\n".join(line for line in outline(db).splitlines() if " -> " in line)


def team(serve, *names, can=None, **answers):
    """Give a workflow of agents who answer as scripted; `can` says whom the first may pass control to."""
    llm = model(serve(by_name(**answers)))
    return office(
        *(agent(name, llm, search, can_handoff_to=can if name == names[0] else None) for name in names)
    )


def passes(to, reason="because"):
    return call("handoff", to_agent=to, reason=reason)


class Done(Event):
    pass


class TestTransfers:
    async def test_control_is_passed(self, db, serve):
        work = team(
            serve, "front", "back", front=Reply(calls=[passes("back", "it is about tea")]), back=Reply("Tea.")
        )
        assert str(await work.run("x")) == "Tea."
        assert handoffs(db) == "front -> back transfer accepted native: it is about tea"
        with counterfoil.open(db) as store:
            (run,) = store.runs()
            (one,) = store.handoffs(run)
            (tool,) = store.tool_calls(run)
            target = next(node.step for node in store.tree(run)[0].children if node.step.name == "back")
        assert (one.step_id, one.decided_by, one.target_step_id) == (
            tool.step_id,
            tool.decided_by,
            target.step_id,
        )
        assert one.target_asked == "back"

    async def test_there_and_back_are_two(self, db, serve):
        front = [Reply(calls=[passes("back")]), Reply("Done.")]
        work = team(serve, "front", "back", front=front, back=Reply(calls=[passes("front", "yours")]))
        await work.run("x")
        assert handoffs(db) == snapshot("""\
front -> back transfer accepted native: because
back -> front transfer accepted native: yours\
""")

    async def test_of_two_in_one_turn_the_last_one_wins(self, db, serve):
        calls = [passes("left", "one"), passes("right", "two")]
        work = team(
            serve, "front", "left", "right", front=Reply(calls=calls), left=Reply("L"), right=Reply("R")
        )
        answer = str(await work.run("x"))
        won, lost = ("right", "left") if answer == "R" else ("left", "right")
        assert {line.partition(" native")[0] for line in handoffs(db).splitlines()} == {
            f"front -> {won} transfer accepted",
            f"front -> {lost} transfer abandoned",
        }

    async def test_beside_another_tool(self, db, serve):
        calls = [call("search", query="tea"), passes("back")]
        work = team(serve, "front", "back", front=Reply(calls=calls), back=Reply("Tea."))
        await work.run("x")
        assert outline(db) == snapshot("""\
workflow AgentWorkflow
  agent front
    llm OpenAI [front]
    tool search [front]
    tool handoff [front]
  agent back
    llm OpenAI [back]
front -> back transfer accepted native: because\
""")

    async def test_what_the_tool_says_does_not_matter(self, db, serve):
        llm = model(serve(by_name(front=Reply(calls=[passes("back")]), back=Reply("Tea."))))
        prompt = "not found: cannot hand off to {to_agent}, {reason}"
        await office(agent("front", llm), agent("back", llm), handoff_output_prompt=prompt).run("x")
        assert handoffs(db) == "front -> back transfer accepted native: because"

    async def test_without_content_who_passed_to_whom_remains(self, db, serve, llama_index):
        llama_index.install(db, capture="metadata", quiet=True)
        await team(serve, "front", "back", front=Reply(calls=[passes("back")]), back=Reply("Tea.")).run("x")
        assert handoffs(db) == "front -> back transfer accepted native"

    async def test_the_text_beside_the_call_is_the_reason_where_none_is_given(self, db, serve):
        front = Reply("They know tea.", calls=[call("handoff", to_agent="back", reason="")])
        await team(serve, "front", "back", front=front, back=Reply("Tea.")).run("x")
        assert handoffs(db) == "front -> back transfer accepted native: They know tea."


class TestRefused:
    async def test_who_may_not_be_asked(self, db, serve):
        work = team(
            serve, "front", "back", "boss",
            can=["back"], front=[Reply(calls=[passes("boss")]), Reply("I do it.")], back=Reply("x"), boss=Reply("x"),
        )  # fmt: skip
        await work.run("x")
        assert outline(db) == snapshot("""\
workflow AgentWorkflow
  agent front
    llm OpenAI [front]
    tool handoff [front]
    llm OpenAI [front]
front -> boss transfer refused native refused by framework: because\
""")

    async def test_who_does_not_exist(self, db, serve):
        work = team(
            serve,
            "front",
            "back",
            front=[Reply(calls=[passes("nobody")]), Reply("I do it.")],
            back=Reply("x"),
        )
        await work.run("x")
        assert handoffs(db) == "front -> nobody transfer refused native refused by framework: because"

    async def test_one_is_refused_and_another_is_not(self, db, serve):
        calls = [passes("boss", "one"), passes("back", "two")]
        work = team(
            serve,
            "front",
            "back",
            "boss",
            can=["back"],
            front=Reply(calls=calls),
            back=Reply("B"),
            boss=Reply("x"),
        )
        await work.run("x")
        assert handoffs(db) == snapshot("""\
front -> boss transfer refused native refused by framework: one
front -> back transfer accepted native: two\
""")

    async def test_to_oneself_is_none(self, db, serve):
        work = team(
            serve, "front", "back", front=[Reply(calls=[passes("front")]), Reply("Me.")], back=Reply("x")
        )
        await work.run("x")
        assert handoffs(db) == ""

    async def test_without_its_reason_it_failed(self, db, serve):
        bad = call("handoff", to_agent="back")
        work = team(serve, "front", "back", front=[Reply(calls=[bad]), Reply("Me.")], back=Reply("x"))
        await work.run("x")
        assert handoffs(db) == "front -> back transfer failed native"
        with counterfoil.open(db) as store:
            assert [one.error_type for one in store.tool_calls()] == ["InvalidArguments"]


class TestEscalations:
    async def test_an_agent_in_a_tool(self, db, serve):
        expert = agent("expert", model(serve(in_turn(Reply("Green.")))))

        async def ask(question: str) -> str:
            """Ask the expert."""
            return str(await expert.run(question))

        script = in_turn(Reply(calls=[call("ask", question="Which?")]), Reply("Green tea."))
        await agent("clerk", model(serve(script)), ask).run("x")
        assert outline(db) == snapshot("""\
agent clerk
  llm OpenAI [clerk]
  tool ask [clerk]
    agent expert
      llm OpenAI [expert]
  llm OpenAI [clerk]
clerk -> expert escalation returned inferred: Which?\
""")
        with counterfoil.open(db) as store:
            (one,) = store.handoffs(store.runs()[0])
            assert (one.answer, one.payload) == ("Green.", {"question": "Which?"})

    async def test_an_agent_in_a_tool_in_a_thread(self, db, serve):
        # A client that outlives the loop of its thread would never be closed.
        llm = model(serve(in_turn(Reply("Green."))), reuse_client=False)
        expert = agent("expert", llm, streaming=False)

        def ask(question: str) -> str:
            """Ask the expert."""

            async def run():
                return str(await expert.run(question))

            return asyncio.run(run())

        script = in_turn(Reply(calls=[call("ask", question="Which?")]), Reply("Green tea."))
        await agent("clerk", model(serve(script)), ask).run("x")
        assert handoffs(db) == "clerk -> expert escalation returned inferred: Which?"

    async def test_a_whole_workflow_in_a_tool(self, db, serve):
        experts = team(
            serve, "first", "second", first=Reply(calls=[passes("second")]), second=Reply("Green.")
        )

        async def ask(question: str) -> str:
            """Ask the experts."""
            return str(await experts.run(question))

        script = in_turn(Reply(calls=[call("ask", question="Which?")]), Reply("Green tea."))
        await agent("clerk", model(serve(script)), ask).run("x")
        assert outline(db) == snapshot("""\
agent clerk
  llm OpenAI [clerk]
  tool ask [clerk]
    workflow AgentWorkflow [clerk]
      agent first
        llm OpenAI [first]
        tool handoff [first]
      agent second
        llm OpenAI [second]
  llm OpenAI [clerk]
clerk -> AgentWorkflow escalation returned inferred to a workflow: Which?
first -> second transfer accepted native: because\
""")

    async def test_an_agent_in_a_tool_that_fails(self, db, serve):
        llm = model(serve(lambda _: Reply(error=500)), reuse_client=False)
        expert = agent("expert", llm, streaming=False)

        async def ask(question: str) -> str:
            """Ask the expert."""
            return str(await expert.run(question))

        script = in_turn(Reply(calls=[call("ask", question="Which?")]), Reply("Nobody knows."))
        await agent("clerk", model(serve(script)), ask).run("x")
        assert outline(db) == snapshot("""\
agent clerk
  llm OpenAI [clerk]
  tool ask [clerk] error
    agent expert error
      llm OpenAI [expert] error (InternalServerError)
  llm OpenAI [clerk]
clerk -> expert escalation failed inferred: Which?\
""")


class TestRoutes:
    async def test_the_steps_of_a_users_workflow_lead_from_agent_to_agent(self, db, serve):
        llm = model(serve(in_turn(Reply("says"))))

        class Line(Workflow):
            @step
            async def draft(self, ev: StartEvent) -> Number:
                await agent("writer", llm).run("draft")
                return Number(n=1)

            @step
            async def check(self, ev: Number) -> StopEvent:
                return StopEvent(result=str(await agent("checker", llm).run("check")))

        await Line().run()
        assert outline(db) == snapshot("""\
workflow Line
  task draft
    agent writer
      llm OpenAI [writer]
  task check
    agent checker
      llm OpenAI [checker]
writer -> checker route accepted inferred\
""")

    async def test_out_to_two_and_in_again(self, db, serve):
        llm = model(serve(in_turn(Reply("says"))))

        class Diamond(Workflow):
            @step
            async def out(self, ctx: Context, ev: StartEvent) -> Number | None:
                await agent("lead", llm).run("x")
                for n in range(2):
                    ctx.send_event(Number(n=n))

            @step
            async def work(self, ev: Number) -> Done:
                await agent(f"hand{ev.n}", llm).run("x")
                return Done()

            @step
            async def judge(self, ctx: Context, ev: Done) -> StopEvent | None:
                if ctx.collect_events(ev, [Done] * 2) is None:
                    return None
                await agent("judge", llm).run("x")
                return StopEvent()

        await Diamond(timeout=20).run()
        assert set(handoffs(db).splitlines()) == {
            "lead -> hand0 route accepted inferred",
            "lead -> hand1 route accepted inferred",
            "hand0 -> judge route accepted inferred",
            "hand1 -> judge route accepted inferred",
        }

    async def test_the_same_agent_again_is_none(self, db, serve):
        clerk = agent("clerk", model(serve(in_turn(Reply("says")))))

        class Twice(Workflow):
            @step
            async def both(self, ev: StartEvent) -> StopEvent:
                await clerk.run("one")
                await clerk.run("two")
                return StopEvent()

        await Twice().run()
        assert handoffs(db) == ""

    async def test_into_a_workflow_of_agents(self, db, serve):
        llm = model(serve(in_turn(Reply("says"))))
        second = team(serve, "front", "back", front=Reply(calls=[passes("back")]), back=Reply("Tea."))

        class Line(Workflow):
            @step
            async def both(self, ev: StartEvent) -> StopEvent:
                await agent("intake", llm).run("x")
                await second.run("y")
                return StopEvent()

        await Line().run()
        assert handoffs(db) == snapshot("""\
intake -> front route accepted inferred
front -> back transfer accepted native: because\
""")
