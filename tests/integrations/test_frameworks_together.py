"""One run across frameworks: a framework called inside another one's step stands in that step."""

import asyncio
import threading

import pytest
from crewai.tools import tool as crew_tool
from langchain.agents import create_agent
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph

import counterfoil
from crewai_apps import agent, alone, crew, task
from crewai_apps import model as crew_model
from langgraph_apps import HI
from ledger import agree
from ordered_model import calls, model
from outline import outline
from support_desk.endpoint import Reply, Rule, call, in_turn

DONE = [Rule(Reply("done"))]


@pytest.fixture
def installed(db):
    """Every framework of this environment, attached by the one line."""
    counterfoil.install(db, quiet=True)
    yield
    counterfoil.uninstall()


def langchain_desk(tool):
    return create_agent(model(calls((tool.name, {"question": "tea"})), "told"), [tool], name="desk")


CREW_IN_A_TOOL = """\
agent desk
  llm OrderedModel [desk]
  tool ask_crew [desk]
    workflow office [desk]
      task task [desk]
        agent clerk
          llm OpenAICompletion [clerk]
  llm OrderedModel [desk]
desk -> office escalation returned inferred to a workflow: tea\
"""


class TestLangGraphAsksCrewAI:
    def test_in_a_tool(self, db, serve, installed):
        office = alone("clerk", crew_model(serve(DONE)))

        @tool
        def ask_crew(question: str) -> str:
            """Ask the crew."""
            return office.kickoff({"question": question}).raw

        langchain_desk(ask_crew).invoke(HI)
        assert outline(db) == CREW_IN_A_TOOL

    async def test_in_asyncio(self, db, serve, installed):
        office = alone("clerk", crew_model(serve(DONE)))

        @tool
        async def ask_crew(question: str) -> str:
            """Ask the crew."""
            return (await office.akickoff({"question": question})).raw

        await langchain_desk(ask_crew).ainvoke(HI)
        assert outline(db) == CREW_IN_A_TOOL

    def test_in_a_thread_of_the_hosts(self, db, serve, installed):
        office = alone("clerk", crew_model(serve(DONE)))

        @tool
        def ask_crew(question: str) -> str:
            """Ask the crew."""
            answers = []
            work = counterfoil.wrap(lambda: answers.append(office.kickoff({"question": question}).raw))
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            return answers[0]

        langchain_desk(ask_crew).invoke(HI)
        assert outline(db) == CREW_IN_A_TOOL

    @pytest.mark.slow
    def test_many_at_once_are_kept_apart(self, db, serve, installed):
        endpoint = serve(DONE)

        @tool
        async def ask_crew(question: str) -> str:
            """Ask the crew."""
            return (await alone("clerk", crew_model(endpoint)).akickoff({"question": question})).raw

        async def all_at_once():
            await asyncio.gather(*(langchain_desk(ask_crew).ainvoke(HI) for _ in range(8)))

        asyncio.run(all_at_once())
        with counterfoil.open(db) as store:
            runs = store.runs()
            assert [(run.llm_calls, run.tool_calls, run.agents) for run in runs] == [(3, 1, 2)] * 8
            assert len(store.handoffs()) == 8


class TestCrewAIAsksLangGraph:
    def test_in_a_tool(self, db, serve, installed):
        @crew_tool("ask_desk")
        def ask_desk(question: str) -> str:
            """Ask the desk."""
            desk = create_agent(model("told"), [], name="desk")
            return desk.invoke(HI)["messages"][-1].text

        endpoint = serve(in_turn(Reply(calls=[call("ask_desk", question="tea")]), Reply("done")))
        crew(task(agent("clerk", crew_model(endpoint), ask_desk))).kickoff()
        assert outline(db) == (
            "workflow office\n"
            "  task task\n"
            "    agent clerk\n"
            "      llm OpenAICompletion [clerk]\n"
            "      tool ask_desk [clerk]\n"
            "        agent desk\n"
            "          llm OrderedModel [desk]\n"
            "      llm OpenAICompletion [clerk]\n"
            "clerk -> desk escalation returned inferred: tea"
        )
        with counterfoil.open(db) as store:
            assert len(store.runs()) == 1


class TestLangGraphAsksAutoGen:
    async def test_in_a_tool(self, db, installed):
        from autogen_apps import agent as assistant
        from autogen_apps import team

        @tool
        async def ask_team(question: str) -> str:
            """Ask the team."""
            done = await team(assistant("reader", "read"), assistant("writer", "written")).run(task=question)
            return done.messages[-1].to_text()

        await langchain_desk(ask_team).ainvoke(HI)
        assert outline(db) == (
            "agent desk\n"
            "  llm OrderedModel [desk]\n"
            "  tool ask_team [desk]\n"
            "    workflow office [desk]\n"
            "      agent reader\n"
            "        llm ReplayChatCompletionClient [reader]\n"
            "      agent writer\n"
            "        llm ReplayChatCompletionClient [writer]\n"
            "  llm OrderedModel [desk]\n"
            "desk -> office escalation returned inferred to a workflow: tea\n"
            "reader -> writer route accepted native"
        )


def reading(request):
    """Answer the query engine by its prompt, and the crew's agent by a look-up first."""
    if "Context information" in request.transcript:
        return Reply("Tea is hot.")
    return in_turn(Reply(calls=[call("look_up", question="tea")]), Reply("done"))(request)


THREE_FLOORS = """\
workflow desk
  task research
    workflow office
      task task
        agent clerk
          llm OpenAICompletion [clerk]
          tool look_up [clerk]
            task RetrieverQueryEngine [clerk]
              retrieval SummaryIndexRetriever [clerk]
              llm OpenAI [clerk]
          llm OpenAICompletion [clerk]\
"""


class TestThreeFloors:
    def test_a_langgraph_node_a_crew_its_tool_and_a_query_engine_are_one_run(self, db, serve, installed):
        from llama_index.core import Document, SummaryIndex

        from llama_index_apps import model as llama_model

        endpoint = serve(reading)
        index = SummaryIndex.from_documents([Document(text="Tea is hot.", id_="tea")])
        engine = index.as_query_engine(llm=llama_model(endpoint))

        @crew_tool("look_up")
        def look_up(question: str) -> str:
            """Look it up."""
            return str(engine.query(question))

        office = crew(task(agent("clerk", crew_model(endpoint), look_up)))

        def node(state: MessagesState) -> MessagesState:
            return {"messages": [("ai", office.kickoff({"question": state["messages"][-1].text}).raw)]}

        graph = StateGraph(MessagesState)
        graph.add_node("research", node)
        graph.add_edge(START, "research")
        graph.compile(name="desk").invoke(HI)
        assert outline(db) == THREE_FLOORS
        with counterfoil.open(db) as store:
            assert len(agree(store, endpoint, beside=False)) == 3
