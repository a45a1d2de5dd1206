"""Flows of CrewAI: methods, what is nested in them, and who leads to whom."""

import pytest
from crewai.flow.flow import Flow, and_, listen, or_, router, start
from pydantic import BaseModel

import counterfoil
from crewai_apps import agent, alone, model
from outline import outline
from support_desk.endpoint import Reply, Rule

pytestmark = pytest.mark.usefixtures("listening")

DONE = [Rule(Reply("done"))]


@pytest.fixture
def ask(serve):
    """A function that has a crew of one agent work."""
    llm = model(serve(DONE))
    return lambda role: alone(role, llm, name=f"{role}s").kickoff().raw


def handoffs(db):
    return [line for line in outline(db).splitlines() if " -> " in line]


class TestSteps:
    def test_methods_crews_and_lone_agents(self, db, serve):
        llm = model(serve(DONE))

        class Office(Flow):
            @start()
            def find(self):
                return alone("clerk", llm, name="finders").kickoff().raw

            @listen(find)
            async def write(self, found):
                return (await alone("writer", llm, name="writers").akickoff()).raw

            @listen(write)
            def send(self):
                return agent("sender", llm).kickoff("send it").raw

        Office().kickoff(inputs={"to": "Ann"})
        assert outline(db) == (
            "workflow Office\n"
            "  task find\n"
            "    workflow finders\n"
            "      task task\n"
            "        agent clerk\n"
            "          llm OpenAICompletion [clerk]\n"
            "  task write\n"
            "    workflow writers\n"
            "      task task\n"
            "        agent writer\n"
            "          llm OpenAICompletion [writer]\n"
            "  task send\n"
            "    agent sender\n"
            "      llm OpenAICompletion [sender]\n"
            "clerk -> writer route accepted inferred: Work\n"
            "writer -> sender route accepted inferred"
        )

    def test_the_session_is_the_flows_id(self, db):
        class Office(Flow):
            @start()
            def work(self):
                return "done"

        office = Office()
        office.kickoff(inputs={"id": "case-7"})
        with counterfoil.open(db) as store:
            (run,) = store.runs(all=True)
        assert (run.name, run.session_id, run.output) == ("Office", "case-7", "done")

    def test_state_and_parameters_are_a_methods_input(self, db):
        class State(BaseModel):
            id: str = ""
            who: str = "Ann"

        class Office(Flow[State]):
            @start()
            def find(self):
                self.state.who = "Ben"
                return "found"

            @listen(find)
            def write(self, found):
                return found

        Office().kickoff(inputs={"id": "case-8"})
        with counterfoil.open(db) as store:
            steps = {step.name: step for step in store.steps(store.run("last"))}
        assert steps["write"].input == {"state": {"id": "case-8", "who": "Ben"}, "params": {"_0": "found"}}
        assert steps["write"].output == "found"

    def test_an_exception(self, db):
        class Office(Flow):
            @start()
            def work(self):
                raise LookupError("no such case")

        with pytest.raises(LookupError):
            Office().kickoff()
        assert outline(db) == "workflow Office error\n  task work error (LookupError)\nrun: error"

    def test_a_flow_in_a_method_of_another(self, db):
        class Inner(Flow):
            @start()
            def work(self):
                return "done"

        class Outer(Flow):
            @start()
            async def ask(self):
                return await Inner().kickoff_async()

        Outer().kickoff()
        assert outline(db) == "workflow Outer\n  task ask\n    workflow Inner\n      task work"


class TestRoutes:
    def test_starts_at_once_lead_to_what_waits_for_both(self, db, ask):
        class Office(Flow):
            @start()
            def one(self):
                return ask("a")

            @start()
            def two(self):
                return ask("b")

            @listen(and_(one, two))
            def both(self):
                return ask("c")

        Office().kickoff()
        assert sorted(handoffs(db)) == [
            "a -> c route accepted inferred: Work",
            "b -> c route accepted inferred: Work",
        ]

    def test_a_router_is_the_coordinator(self, db, ask):
        class Office(Flow):
            @start()
            def find(self):
                return ask("clerk")

            @router(find)
            def choose(self):
                return "long"

            @listen("long")
            def write(self):
                return ask("writer")

            @listen("short")
            def note(self):
                return ask("noter")

        Office().kickoff()
        assert handoffs(db) == ["clerk -> writer route accepted inferred by choose: Work"]

    def test_a_method_without_agents_passes_on(self, db, ask):
        class Office(Flow):
            @start()
            def find(self):
                return ask("clerk")

            @listen(find)
            def tidy(self):
                return "tidied"

            @listen(tidy)
            def write(self):
                return ask("writer")

        Office().kickoff()
        assert handoffs(db) == ["clerk -> writer route accepted inferred: Work"]

    def test_of_several_ways_the_one_that_was_gone(self, db, ask):
        class Office(Flow):
            @start()
            def find(self):
                return ask("clerk")

            @listen("never")
            def other(self):
                return ask("other")

            @listen(or_(find, other))
            def write(self):
                return ask("writer")

        Office().kickoff()
        assert handoffs(db) == ["clerk -> writer route accepted inferred: Work"]

    def test_the_methods_own_code_is_no_coordinator(self, db, ask):
        class Office(Flow):
            @start()
            def work(self):
                return ask("a") + ask("b")

        Office().kickoff()
        assert handoffs(db) == []
