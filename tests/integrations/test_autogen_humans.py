"""Questions to a human: user proxies, handoffs to a person, and the run that brings the answer (mapping.md, section 4)."""

import asyncio

import pytest
from autogen_agentchat.agents import UserProxyAgent
from autogen_agentchat.base import Handoff
from autogen_agentchat.conditions import HandoffTermination, TextMentionTermination
from autogen_agentchat.messages import HandoffMessage
from autogen_agentchat.teams import Swarm

import counterfoil
from autogen_apps import agent, asks, team
from counterfoil_autogen import record
from outline import outline, outlines

pytestmark = pytest.mark.usefixtures("autogen")


def humans(db):
    """Give each human step: question, answer, status."""
    with counterfoil.open(db) as store:
        return [
            (step.input, step.output, step.status)
            for run in sorted(store.runs(), key=lambda run: run.started_ns)
            for step in store.steps(run)
            if step.kind == "human"
        ]


class TestUserProxy:
    async def test_it_asks_what_it_was_told_and_answers_what_the_human_said(self, db):
        async def say(prompt, cancellation_token=None):
            await asyncio.sleep(0.01)
            return "approve"

        office = team(
            agent("ann", "may I?"),
            UserProxyAgent("boss", input_func=say),
            termination_condition=TextMentionTermination("approve"),
        )
        await office.run(task="x")
        assert outline(db) == (
            "workflow office\n"
            "  agent ann\n"
            "    llm ReplayChatCompletionClient [ann]\n"
            "  agent boss\n"
            "    human human [boss]\n"
            "ann -> boss route accepted native\n"
            "boss -> human escalation returned native to a human"
        )
        assert humans(db) == [("may I?", "approve", "ok")]
        with counterfoil.open(db) as store:
            assert store.runs()[0].human_wait_ms >= 10

    async def test_one_that_control_was_passed_to_passes_it_back(self, db):
        ann = agent("ann", [asks(("transfer_to_boss", {}), thought="Which?"), "done"], handoffs=["boss"])
        boss = UserProxyAgent("boss", input_func=lambda prompt: "the red one")
        await Swarm([ann, boss], name="swarm", max_turns=3).run(task="x")
        assert outline(db).split("\n")[-4:] == [
            "    llm ReplayChatCompletionClient [ann]",
            "ann -> boss transfer accepted native: Which?",
            "boss -> human escalation returned native to a human",
            "boss -> ann transfer accepted native",
        ]
        assert humans(db)[0][1] == "the red one"

    async def test_nobody_is_there(self, db):
        def say(prompt):
            raise EOFError("no terminal")

        with pytest.raises(RuntimeError, match="Failed to get user input"):
            await team(UserProxyAgent("boss", input_func=say)).run(task="x")
        assert outline(db) == (
            "workflow office error\n"
            "  agent boss error\n"
            "    human human [boss] error (RuntimeError)\n"
            "run: error\n"
            "boss -> human escalation failed native to a human"
        )

    async def test_whoever_waited_has_had_enough(self, db):
        async def say(prompt, cancellation_token=None):
            await asyncio.sleep(60)

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(UserProxyAgent("boss", input_func=say).run(task="x"), 0.05)
        assert outline(db) == (
            "agent boss cancelled\n"
            "  human human [boss] cancelled\n"
            "run: cancelled\n"
            "boss -> human escalation abandoned native to a human"
        )


def helpline(*answers):
    """A team that asks the user where its agent does not know."""
    ann = agent("ann", answers, handoffs=[Handoff(target="user", message="I need the order id.")])
    return Swarm(
        [ann],
        name="helpline",
        termination_condition=HandoffTermination("user") | TextMentionTermination("bye"),
    )


class TestHandoff:
    async def test_to_a_human_ends_the_run_and_it_waits(self, db):
        await helpline(asks(("transfer_to_user", {}))).run(task="x")
        assert outline(db) == (
            "workflow helpline waiting\n"
            "  agent ann\n"
            "    llm ReplayChatCompletionClient [ann]\n"
            "    tool transfer_to_user [ann]\n"
            "  human user waiting\n"
            "run: waiting (Handoff to user from ann detected.)\n"
            "ann -> user escalation requested native to a human"
        )
        assert humans(db) == [("I need the order id.", None, "waiting")]

    async def test_the_next_run_brings_the_answer(self, db):
        line = helpline(asks(("transfer_to_user", {})), "bye")
        await line.run(task="x")
        await line.run(task=HandoffMessage(source="user", target="ann", content="A-17"))
        assert humans(db) == [("I need the order id.", "A-17", "ok")]
        with counterfoil.open(db) as store:
            second, first = store.runs()
        assert (first.status, second.status) == ("ok", "ok")
        assert (second.resumes, second.first_run_id) == (first.run_id, first.run_id)
        assert outlines(db).count("ann -> user escalation returned native to a human") == 1

    async def test_a_plain_text_answers_where_the_team_waits(self, db):
        ann = agent("ann", [asks(("transfer_to_user", {})), "bye"], handoffs=["user"])
        office = team(
            ann, turns=5, termination_condition=HandoffTermination("user") | TextMentionTermination("bye")
        )
        await office.run(task="x")
        await office.run(task="A-17")
        assert humans(db)[0][1:] == ("A-17", "ok")

    async def test_a_plain_next_task_answers_nothing(self, db):
        office = team(agent("ann", ["1", "2"]))
        await office.run(task="x")
        await office.run(task="y")
        with counterfoil.open(db) as store:
            assert [run.resumes for run in store.runs()] == [None, None]

    async def test_a_team_loaded_from_a_saved_state_goes_on_in_the_users_session(self, db):
        first = record(helpline(asks(("transfer_to_user", {}))), db, session="customer-7")
        await first.run(task="x")
        second = record(helpline("bye"), db, session="customer-7")
        await second.load_state(await first.save_state())
        await second.run(task=HandoffMessage(source="user", target="ann", content="A-17"))
        assert humans(db) == [("I need the order id.", "A-17", "ok")]
        with counterfoil.open(db) as store:
            assert {run.session_id for run in store.runs()} == {"customer-7"}

    async def test_the_runs_may_stand_in_counterfoil_runs_of_one_session(self, db):
        first, second = helpline(asks(("transfer_to_user", {}))), helpline("bye")
        with counterfoil.run("desk", session="customer-7", db=db):
            await first.run(task="x")
        await second.load_state(await first.save_state())
        with counterfoil.run("desk", session="customer-7", db=db):
            await second.run(task=HandoffMessage(source="user", target="ann", content="A-17"))
        assert humans(db) == [("I need the order id.", "A-17", "ok")]
        with counterfoil.open(db) as store:
            later, earlier = store.runs()
        assert (later.resumes, earlier.status) == (earlier.run_id, "ok")
