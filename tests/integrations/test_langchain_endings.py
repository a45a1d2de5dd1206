"""How runs end: limits, cancellation, streams closed early, Ctrl-C."""

import asyncio

import pytest
from inline_snapshot import snapshot
from langchain.agents import create_agent
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableGenerator, RunnableLambda
from langchain_core.tools import tool
from langgraph.errors import GraphRecursionError
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import RetryPolicy

import counterfoil
from counterfoil_langchain import CounterfoilHandler
from langgraph_apps import HI, add, graph
from ordered_model import OrderedModel, PiecewiseModel, calls, model
from outline import outline, outlines


def cancelled(make):
    """Run what `make(began)` gives until it has begun, and cancel it."""

    async def main():
        began = asyncio.Event()
        running = asyncio.create_task(make(began))
        await asyncio.wait_for(began.wait(), 10)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())


def endless(began):
    @tool
    async def wait(x: int) -> str:
        """Wait for ever."""
        began.set()
        await asyncio.Event().wait()

    return wait


class Endless(OrderedModel):
    """Never answers."""

    answers: list = ["never"]  # noqa: RUF012  # a pydantic field
    began: asyncio.Event

    async def _agenerate(self, *_, **__):
        self.began.set()
        await asyncio.Event().wait()


class EndlessShelf(BaseRetriever):
    """Never finds anything."""

    began: asyncio.Event

    def _get_relevant_documents(self, query, *, run_manager):
        raise NotImplementedError

    async def _aget_relevant_documents(self, query, *, run_manager):
        self.began.set()
        await asyncio.Event().wait()


class TestCancel:
    def test_a_cancelled_agent_takes_its_open_tool_along(self, db, config):
        def make(began):
            tools = [endless(began)]
            worker = create_agent(model(calls(("wait", {"x": 1})), "done"), tools, name="worker")
            return worker.ainvoke(HI, config)

        cancelled(make)
        assert outline(db) == snapshot("""\
agent worker cancelled
  llm OrderedModel [worker]
  tool wait [worker] cancelled
run: cancelled\
""")
        assert config["callbacks"][0].tracker.entries == {}

    def test_a_cancelled_agent_takes_its_open_model_call_along(self, db, config):
        cancelled(lambda began: create_agent(Endless(began=began), [], name="worker").ainvoke(HI, config))
        assert outline(db) == snapshot("""\
agent worker cancelled
  llm Endless [worker] cancelled
run: cancelled\
""")

    def test_a_cancelled_graph_takes_its_open_retriever_along(self, db, config):
        def make(began):
            shelf = EndlessShelf(began=began)

            async def look(state):
                await shelf.ainvoke("beans")

            return graph((START, "look"), name="g", look=look).ainvoke(HI, config)

        cancelled(make)
        assert outline(db) == snapshot("""\
workflow g cancelled
  task look cancelled
    retrieval EndlessShelf cancelled
run: cancelled\
""")

    def test_a_bare_call_that_was_cancelled_ends_with_the_run_around_it(self, db, config):
        async def bare(began):
            with counterfoil.run("night", db=db):
                await Endless(began=began).ainvoke("q", config)

        cancelled(bare)
        assert outline(db) == snapshot("""\
workflow night cancelled
  llm Endless cancelled
run: cancelled\
""")

    def test_ctrl_c_is_a_cancellation(self, db, config):
        @tool
        def stop(x: int) -> str:
            """Stop everything."""
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            create_agent(model(calls(("stop", {"x": 1}))), [stop], name="worker").invoke(HI, config)
        assert outline(db) == snapshot("""\
agent worker cancelled
  llm OrderedModel [worker]
  tool stop [worker] cancelled
run: cancelled\
""")


class TestStream:
    def test_a_graph_whose_stream_is_closed_early_is_cancelled(self, db, config):
        stream = create_agent(model(calls(("add", {"a": 1, "b": 2})), "done"), [add], name="worker").stream(
            HI, config
        )
        next(stream)
        stream.close()
        assert outline(db) == snapshot("""\
agent worker cancelled
  llm OrderedModel [worker]
run: cancelled\
""")

    def test_a_chain_that_gives_what_it_had_is_not(self, db, config):
        def count(_):
            yield from "abc"

        stream = RunnableGenerator(count).stream("x", config)
        next(stream)
        stream.close()
        assert outline(db) == snapshot("other count")

    def test_an_agent_whose_messages_are_no_longer_read_takes_its_model_call_along(self, db, config):
        async def main():
            agent = create_agent(PiecewiseModel(answers=[["a", "b", "c", "d"]]), [], name="worker")
            stream = agent.astream(HI, config, stream_mode="messages")
            await anext(stream)
            await stream.aclose()

        asyncio.run(main())
        assert outline(db) == snapshot("""\
agent worker cancelled
  llm PiecewiseModel [worker] cancelled
run: cancelled\
""")


class TestLimit:
    def test_too_many_steps_is_an_error_with_its_reason(self, db, config):
        looping = create_agent(model(calls(("add", {"a": 1, "b": 2}))), [add], name="worker")
        with pytest.raises(GraphRecursionError):
            looping.invoke(HI, config | {"recursion_limit": 4})
        assert outline(db) == snapshot("""\
agent worker error (GraphRecursionError)
  llm OrderedModel [worker]
  tool add [worker]
  llm OrderedModel [worker]
  tool add [worker]
run: error (recursion_limit)\
""")

    def test_a_time_out_that_raises_is_one_too(self, db, config):
        async def slow(state):
            await asyncio.sleep(30)

        app = graph((START, "slow"), name="g", slow=slow)
        app.step_timeout = 0.05
        with pytest.raises(TimeoutError):
            asyncio.run(app.ainvoke(HI, config))
        assert outline(db) == snapshot("""\
workflow g error (TimeoutError)
  task slow cancelled
run: error (timeout)\
""")


class TestRetry:
    def test_each_try_of_a_runnable_is_a_step(self, db, config):
        tried = []

        def flaky(x):
            tried.append(x)
            if len(tried) < 3:
                raise ValueError("not yet")
            return x

        RunnableLambda(flaky).with_retry(wait_exponential_jitter=False, stop_after_attempt=4).invoke(
            1, config
        )
        assert outline(db) == snapshot("""\
other flaky
  other flaky error (ValueError)
  other flaky error (ValueError)
  other flaky\
""")

    @pytest.mark.slow
    def test_each_try_of_a_node_is_a_step(self, db, config):
        tried = []

        def flaky(state):
            tried.append(state)
            if len(tried) < 3:
                raise ValueError("not yet")
            return {}

        built = StateGraph(MessagesState)
        policy = RetryPolicy(max_attempts=3, initial_interval=0.001, retry_on=ValueError)
        built.add_node("flaky", flaky, retry_policy=policy)
        built.add_edge(START, "flaky")
        built.compile(name="g").invoke(HI, config)
        assert outline(db) == snapshot("""\
workflow g
  task flaky error (ValueError)
  task flaky error (ValueError)
  task flaky\
""")

    def test_the_same_exception_in_two_tries_stands_at_both(self, db, config):
        once_and_again = ValueError("still not")

        def flaky(x):
            raise once_and_again

        with pytest.raises(ValueError, match="still not"):
            RunnableLambda(flaky).with_retry(wait_exponential_jitter=False, stop_after_attempt=2).invoke(
                1, config
            )
        assert outline(db) == snapshot("""\
other flaky error
  other flaky error (ValueError)
  other flaky error (ValueError)
run: error\
""")


class TestTwice:
    def test_the_same_handler_twice_records_once(self, db, config):
        (handler,) = config["callbacks"]
        add.with_config({"callbacks": [handler]}).invoke({"a": 1, "b": 2}, {"callbacks": [handler]})
        assert outlines(db) == snapshot("tool add")

    def test_two_handlers_of_one_store_record_once(self, db):
        agent = create_agent(model("x"), [], name="worker")
        agent.invoke(HI, {"callbacks": [CounterfoilHandler(db), CounterfoilHandler(db)]})
        assert outlines(db) == snapshot("""\
agent worker
  llm OrderedModel [worker]\
""")

    def test_two_stores_each_record_in_full(self, db, tmp_path):
        other = tmp_path / "other.db"

        @tool
        def boom(x: int) -> str:
            """Fail."""
            raise ValueError("bad")

        with pytest.raises(ValueError, match="bad"):
            create_agent(model(calls(("boom", {"x": 1}))), [boom], name="worker").invoke(
                HI, {"callbacks": [CounterfoilHandler(db), CounterfoilHandler(other)]}
            )
        assert outlines(db) == snapshot("""\
agent worker error
  llm OrderedModel [worker]
  tool boom [worker] error (ValueError)
run: error\
""")
        assert outlines(other) == outlines(db)
