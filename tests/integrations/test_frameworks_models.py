"""One billable call is one llm step, also where LangChain is the model client inside another framework."""

import asyncio

import pytest
from autogen_agentchat.teams import SelectorGroupChat
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage
from llama_index.core.agent.workflow import ReActAgent
from llama_index.core.llms import ChatMessage
from llama_index.llms.langchain import LangChainLLM

import counterfoil
from autogen_apps import agent as assistant
from autogen_apps import team
from crewai_apps import alone
from langgraph_apps import HI, graph
from ledger import agree
from outline import outline
from support_desk.endpoint import Reply, Rule
from wrapping_models import AskingClient, AskingModel, langchain_model

TEA = [Rule(Reply("Tea is hot."))]
ASKED = [ChatMessage(role="user", content="What is hot?")]


@pytest.fixture(autouse=True)
def installed(db):
    """Every framework of this environment, attached by the one line."""
    counterfoil.install(db, quiet=True)
    yield
    counterfoil.uninstall()


def counted(db, endpoint):
    """Assert that the store and the endpoint's ledger agree on every call; give the run, and what is counted."""
    with counterfoil.open(db) as store:
        agree(store, endpoint, beside=False)
        (run,) = store.runs(all=True)
        return outline(store, run), run.llm_calls, [call.framework for call in store.llm_calls()]


async def read(stream):
    return [piece async for piece in await stream]


CALLS = {
    "chat": lambda llm: llm.chat(ASKED),
    "stream_chat": lambda llm: list(llm.stream_chat(ASKED)),
    "complete": lambda llm: llm.complete("What is hot?"),
    "achat": lambda llm: asyncio.run(llm.achat(ASKED)),
    "astream_chat": lambda llm: asyncio.run(read(llm.astream_chat(ASKED))),
    "acomplete": lambda llm: asyncio.run(llm.acomplete("What is hot?")),
}


class TestLlamaIndexAsksALangChainModel:
    @pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
    def test_is_one_call(self, db, serve, call):
        endpoint = serve(TEA)
        call(LangChainLLM(llm=langchain_model(endpoint)))
        tree, calls, frameworks = counted(db, endpoint)
        assert tree == "llm LangChainLLM\n  llm ChatOpenAI"
        assert (calls, frameworks) == (1, ["langchain"])

    @pytest.mark.parametrize("call", ["stream_complete", "astream_complete"])
    def test_is_one_call_in_a_thread_of_its_own(self, db, serve, call):
        endpoint = serve(TEA)
        llm = LangChainLLM(llm=langchain_model(endpoint))
        if call == "stream_complete":
            list(llm.stream_complete("What is hot?"))
        else:
            asyncio.run(read(llm.astream_complete("What is hot?")))
        assert counted(db, endpoint)[1:] == (1, ["langchain"])

    @pytest.mark.parametrize("streaming", [True, False])
    async def test_in_an_agent(self, db, serve, streaming):
        endpoint = serve([Rule(Reply("Thought: I know.\nAnswer: Tea."))])
        llm = LangChainLLM(llm=langchain_model(endpoint))
        await ReActAgent(name="thinker", llm=llm, tools=[], streaming=streaming).run("What is hot?")
        tree, calls, _ = counted(db, endpoint)
        assert tree == "agent thinker\n  llm LangChainLLM [thinker]\n    llm ChatOpenAI [thinker]"
        assert calls == 1

    def test_that_fails(self, db, serve):
        endpoint = serve([Rule(Reply(error=400))])
        with pytest.raises(Exception, match="scripted error 400"):
            LangChainLLM(llm=langchain_model(endpoint)).chat(ASKED)
        tree, calls, _ = counted(db, endpoint)
        assert tree == (
            "llm LangChainLLM error\n  llm ChatOpenAI error (OpenAIInvalidRequestError)\nrun: error"
        )
        assert calls == 1

    def test_whose_stream_breaks(self, db, serve):
        endpoint = serve([Rule(Reply("Tea is hot.", hang_up=1))])
        with pytest.raises(Exception, match="peer closed connection"):
            list(LangChainLLM(llm=langchain_model(endpoint)).stream_chat(ASKED))
        tree, calls, _ = counted(db, endpoint)
        assert tree == "llm LangChainLLM error\n  llm ChatOpenAI error (RemoteProtocolError)\nrun: error"
        assert calls == 1

    def test_whose_stream_is_given_up(self, db, serve):
        stream = LangChainLLM(llm=langchain_model(serve(TEA))).stream_chat(ASKED)
        next(stream)
        stream.close()
        with counterfoil.open(db) as store:
            (run,) = store.runs(all=True)
            assert outline(store, run) == (
                "llm LangChainLLM cancelled\n  llm ChatOpenAI cancelled\nrun: cancelled"
            )
            assert run.llm_calls == 1

    def test_that_a_cache_answers_the_second_time(self, db, serve):
        endpoint = serve(TEA)
        llm = LangChainLLM(llm=langchain_model(endpoint, cache=InMemoryCache()))
        with counterfoil.run("twice"):
            llm.chat(ASKED)
            llm.chat(ASKED)
        with counterfoil.open(db) as store:
            agree(store, endpoint)
            assert [(call.framework, call.cached) for call in store.llm_calls()] == [
                ("langchain", False),
                ("langchain", True),
            ]

    def test_in_a_langgraph_node(self, db, serve):
        endpoint = serve(TEA)
        llm = LangChainLLM(llm=langchain_model(endpoint))

        def ask(state):
            return {"messages": [AIMessage(llm.chat(ASKED).message.content)]}

        graph(("__start__", "ask"), ask=ask, name="desk").invoke(HI)
        tree, calls, _ = counted(db, endpoint)
        assert tree == "workflow desk\n  task ask\n    llm LangChainLLM\n      llm ChatOpenAI"
        assert calls == 1

    def test_uninstalled_nothing_is_left_on_the_models(self, db):
        def methods():
            return [vars(kind).get(name) for kind in LangChainLLM.__mro__ for name in CALLS]

        counterfoil.uninstall()
        bare = methods()
        counterfoil.install(db, quiet=True)
        assert methods() != bare
        counterfoil.uninstall()
        assert methods() == bare

    def test_that_nobody_records_content_of(self, db, serve):
        counterfoil.install(db, capture="metadata", quiet=True)
        LangChainLLM(llm=langchain_model(serve(TEA))).chat(ASKED)
        with counterfoil.open(db) as store:
            assert [call.framework for call in store.llm_calls()] == ["langchain"]


class TestAutoGenAsksALangChainModel:
    @pytest.mark.parametrize("stream", [True, False])
    @pytest.mark.parametrize("telling", [True, False])
    async def test_is_one_call(self, db, serve, stream, telling):
        endpoint = serve(TEA)
        client = AskingClient(langchain_model(endpoint), telling=telling)
        await team(assistant("clerk", client, model_client_stream=stream)).run(task="What is hot?")
        tree, calls, frameworks = counted(db, endpoint)
        assert tree == (
            "workflow office\n  agent clerk\n    llm AskingClient [clerk]\n      llm ChatOpenAI [clerk]"
        )
        assert (calls, frameworks) == (1, ["langchain"])

    @pytest.mark.parametrize("telling", [True, False])
    async def test_that_asks_again_made_two_calls(self, db, serve, telling):
        said = iter(["Tea?", "Tea is hot."])
        endpoint = serve(lambda request: Reply(next(said)))
        client = AskingClient(
            langchain_model(endpoint), telling=telling, wanted=lambda text: text.endswith(".")
        )
        await team(assistant("clerk", client)).run(task="What is hot?")
        assert counted(db, endpoint)[1:] == (2, ["langchain", "langchain"])

    async def test_that_tries_again_after_an_error_made_one_call_and_failed_in_one(self, db, serve):
        said = iter([Reply(error=500), Reply("Tea is hot.")])
        endpoint = serve(lambda request: next(said))
        model = langchain_model(endpoint).with_retry(stop_after_attempt=2, wait_exponential_jitter=False)
        await team(assistant("clerk", AskingClient(model))).run(task="What is hot?")
        with counterfoil.open(db) as store:
            agree(store, endpoint)
            assert [(call.framework, call.status) for call in store.llm_calls()] == [
                ("langchain", "error"),
                ("langchain", "ok"),
            ]

    async def test_that_fails(self, db, serve):
        endpoint = serve([Rule(Reply(error=400))])
        with pytest.raises(RuntimeError, match="scripted error 400"):
            await team(assistant("clerk", AskingClient(langchain_model(endpoint)))).run(task="What is hot?")
        assert counted(db, endpoint)[1:] == (1, ["langchain"])

    async def test_that_picks_who_is_next_is_the_call_that_decided(self, db, serve):
        endpoint = serve([Rule(Reply("writer"))])
        client = AskingClient(langchain_model(endpoint))
        agents = [assistant("reader", "read"), assistant("writer", "written")]
        await SelectorGroupChat(agents, client, max_turns=1).run(task="Write")
        with counterfoil.open(db) as store:
            (pick,) = store.handoffs()
            assert [call.step_id for call in store.llm_calls() if call.framework == "langchain"] == [
                pick.decided_by
            ]

    async def test_through_llamaindex_is_one_call_told_three_times(self, db, serve):
        endpoint = serve(TEA)
        inner = LangChainLLM(llm=langchain_model(endpoint))

        class Through:
            async def ainvoke(self, pairs):
                said = await inner.achat([ChatMessage(role=role, content=text) for role, text in pairs])
                return AIMessage(said.message.content)

        await team(assistant("clerk", AskingClient(Through()))).run(task="What is hot?")
        tree, calls, frameworks = counted(db, endpoint)
        assert tree == (
            "workflow office\n"
            "  agent clerk\n"
            "    llm AskingClient [clerk]\n"
            "      llm LangChainLLM [clerk]\n"
            "        llm ChatOpenAI [clerk]"
        )
        assert (calls, frameworks) == (1, ["langchain"])


class TestCrewAIAsksALangChainModel:
    @pytest.mark.slow
    @pytest.mark.parametrize("telling", [True, False])
    def test_is_one_call(self, db, serve, telling):
        endpoint = serve([Rule(Reply("Final Answer: Tea."))])
        llm = AskingModel(model="asking-1", langchain=langchain_model(endpoint), telling=telling)
        alone("clerk", llm).kickoff()
        tree, calls, frameworks = counted(db, endpoint)
        llms = (
            ["llm AskingModel [clerk]", "  llm ChatOpenAI [clerk]"] if telling else ["llm ChatOpenAI [clerk]"]
        )
        assert tree.splitlines() == [
            "workflow office",
            "  task task",
            "    agent clerk",
            *(f"      {line}" for line in llms),
        ]
        assert (calls, frameworks) == (1, ["langchain"])

    def test_takes_none_as_it_is(self, db, serve):
        # CrewAI 1.15: a model is a BaseLLM, a name, or a dict.
        with pytest.raises(ValueError, match="validation error"):
            alone("clerk", langchain_model(serve(TEA)))
