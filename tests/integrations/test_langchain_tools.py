"""What is recorded of tool calls and retrievers."""

import asyncio
import threading

import pytest
from inline_snapshot import snapshot
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ToolRetryMiddleware
from langchain_core.documents import Document
from langchain_core.messages import ToolMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import ToolException, create_retriever_tool, tool
from langchain_core.vectorstores import VectorStore
from langgraph.graph import START
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command
from pydantic import BaseModel

import counterfoil
from langgraph_apps import HI, add, asks, graph
from ordered_model import calls, model
from outline import outline


def run(config, asked, tools, **options):
    return create_agent(model(calls(*asked), "done"), tools, name="worker", **options).invoke(HI, config)


def tool_calls(db):
    with counterfoil.open(db) as store:
        return store.tool_calls()


class TestCall:
    def test_its_arguments_and_result_are_recorded(self, db, config):
        run(config, [("add", {"a": 1, "b": 2})], [add])
        (call,) = tool_calls(db)
        assert (call.tool, call.call_id, call.arguments, call.result) == (
            "add",
            "call1",
            {"a": 1, "b": 2},
            "3",
        )

    def test_the_model_call_that_chose_it_is_known(self, db, config):
        run(config, [("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4})], [add])
        with counterfoil.open(db) as store:
            first = store.llm_calls()[0].step_id
            assert [(one.decided_by, one.decided_evidence) for one in store.tool_calls()] == [
                (first, "native")
            ] * 2

    def test_parallel_calls_keep_their_own_answers(self, db, config):
        both = threading.Barrier(2, timeout=10)

        @tool
        def meet(name: str) -> str:
            """Wait for the other one."""
            both.wait()
            return name

        run(config, [("meet", {"name": "ann"}), ("meet", {"name": "ben"})], [meet])
        assert sorted((one.call_id, one.arguments["name"], one.result) for one in tool_calls(db)) == [
            ("call1", "ann", "ann"),
            ("call2", "ben", "ben"),
        ]

    def test_a_bare_call_with_a_string_keeps_it(self, db, config):
        @tool
        def shout(text: str) -> str:
            """Shout."""
            return text.upper()

        shout.invoke("hi", config)
        (call,) = tool_calls(db)
        assert (call.arguments, call.result) == snapshot(("hi", "HI"))

    def test_of_a_command_only_where_it_goes_and_which_keys_is_kept(self, db, config):
        @tool
        def note(text: str) -> Command:
            """Note."""
            return Command(update={"messages": [ToolMessage("noted", tool_call_id="call1")]})

        run(config, [("note", {"text": "a"})], [note])
        assert [one.result for one in tool_calls(db)] == snapshot([{"keys": ["messages"]}])


class TestFailure:
    def test_an_exception_stands_at_the_tool_alone(self, db, config):
        @tool
        def boom(x: int) -> str:
            """Fail."""
            raise ValueError("bad")

        with pytest.raises(ValueError, match="bad"):
            run(config, [("boom", {"x": 1})], [boom])
        assert outline(db) == snapshot("""\
agent worker error
  llm OrderedModel [worker]
  tool boom [worker] error (ValueError)
run: error\
""")
        with counterfoil.open(db) as store:
            assert store.run("last").errors == 1

    def test_one_that_is_wrapped_on_the_way_is_two(self, db, config):
        @tool
        def boom(x: int) -> str:
            """Fail."""
            raise ValueError("bad")

        def node(state):
            try:
                boom.invoke({"x": 1})
            except ValueError as error:
                raise LookupError("worse") from error

        with pytest.raises(LookupError):
            graph((START, "node"), name="g", node=node).invoke(HI, config)
        assert outline(db) == snapshot("""\
workflow g error
  task node error (LookupError)
    tool boom error (ValueError)
run: error\
""")

    def test_one_that_the_code_around_it_handles_is_one(self, db, config):
        @tool
        def boom(x: int) -> str:
            """Fail."""
            raise ValueError("bad")

        def node(state):
            try:
                boom.invoke({"x": 1})
            except ValueError:
                return {}

        graph((START, "node"), name="g", node=node).invoke(HI, config)
        assert outline(db) == snapshot("""\
workflow g
  task node
    tool boom error (ValueError)\
""")

    def test_one_that_is_told_to_the_model_is_an_error_too(self, db, config):
        @tool
        def boom(x: int) -> str:
            """Fail."""
            raise ToolException("try another")

        boom.handle_tool_error = True
        run(config, [("boom", {"x": 1})], [boom])
        assert outline(db) == snapshot("""\
agent worker
  llm OrderedModel [worker]
  tool boom [worker] error (ToolError)
  llm OrderedModel [worker]\
""")
        assert [one.error_message for one in tool_calls(db)] == ["try another"]

    def test_arguments_that_do_not_fit_are_invalid(self, db, config):
        run(config, [("add", {"a": "many"})], [add])
        assert outline(db) == snapshot("""\
agent worker
  llm OrderedModel [worker]
  tool add [worker] error (InvalidArguments)
  llm OrderedModel [worker]\
""")

    def test_a_bodys_own_validation_error_is_not_taken_for_that(self, db, config):
        class Shape(BaseModel):
            sides: int

        @tool
        def draw(sides: str) -> str:
            """Draw."""
            return str(Shape(sides=sides))

        with pytest.raises(ValueError, match="sides"):
            draw.invoke({"sides": "many"}, config)
        assert outline(db) == snapshot("""\
tool draw error (ValidationError)
run: error\
""")

    def test_an_unknown_tool_is_recorded(self, db, config):
        run(config, [("nope", {"x": 1}), ("add", {"a": 1, "b": 2})], [add])
        assert outline(db) == snapshot("""\
agent worker
  llm OrderedModel [worker]
  tool nope [worker] error (UnknownTool) ~inferred
  tool add [worker]
  llm OrderedModel [worker]\
""")
        unknown = next(one for one in tool_calls(db) if one.tool == "nope")
        assert (unknown.call_id, unknown.arguments, unknown.error_type) == ("call1", {"x": 1}, "UnknownTool")

    def test_an_unknown_tool_is_recorded_in_a_graph_of_ones_own(self, db, config):
        graph(
            (START, "chat"),
            ("chat", tools_condition),
            ("tools", "chat"),
            name="helper",
            chat=asks(calls(("nope", {"x": 1})), "done"),
            tools=ToolNode([add]),
        ).invoke(HI, config)
        assert outline(db) == snapshot("""\
agent helper ~inferred
  task chat [helper]
    llm OrderedModel [helper]
  task tools [helper]
    tool nope [helper] error (UnknownTool) ~inferred
  task chat [helper]
    llm OrderedModel [helper]\
""")

    def test_a_call_that_a_middleware_refuses_is_recorded(self, db, config):
        class Refuse(AgentMiddleware):
            def wrap_tool_call(self, request, handler):
                return ToolMessage("not today", tool_call_id=request.tool_call["id"], status="error")

        run(config, [("add", {"a": 1, "b": 2})], [add], middleware=[Refuse()])
        assert outline(db) == snapshot("""\
agent worker
  llm OrderedModel [worker]
  tool add [worker] error (ToolNotRun) ~inferred
  llm OrderedModel [worker]\
""")

    @pytest.mark.slow
    def test_each_retry_is_a_call_with_the_same_id(self, db, config):
        tried = []

        @tool
        def flaky(x: int) -> str:
            """Fail at first."""
            tried.append(x)
            if len(tried) < 2:
                raise ValueError("not yet")
            return "ok"

        run(config, [("flaky", {"x": 1})], [flaky], middleware=[ToolRetryMiddleware(initial_delay=0)])
        assert outline(db) == snapshot("""\
agent worker
  llm OrderedModel [worker]
  tool flaky [worker] error (ValueError)
  tool flaky [worker]
  llm OrderedModel [worker]\
""")
        assert [one.call_id for one in tool_calls(db)] == ["call1", "call1"]

    def test_a_tool_that_fails_beside_a_slower_one_does_not_hide_that_ones_end(self, db, config):
        failed = threading.Event()

        @tool
        def slow(x: int) -> str:
            """Wait for the failure."""
            failed.wait(10)
            return "late"

        @tool
        def boom(x: int) -> str:
            """Fail."""
            try:
                raise ValueError("bad")
            finally:
                failed.set()

        with pytest.raises(ValueError, match="bad"):
            run(config, [("slow", {"x": 1}), ("boom", {"x": 1})], [slow, boom])
        assert {one.tool: one.status for one in tool_calls(db)} == {"slow": "ok", "boom": "error"}

    def test_a_tool_in_a_thread_that_ends_after_its_run_was_cancelled_is_ok(self, db, config):
        began, go, done = threading.Event(), threading.Event(), threading.Event()

        @tool
        def slow(x: int) -> str:
            """Wait."""
            began.set()
            go.wait(10)
            done.set()
            return "late"

        async def cancelled():
            worker = create_agent(model(calls(("slow", {"x": 1})), "done"), [slow], name="worker")
            running = asyncio.create_task(worker.ainvoke(HI, config))
            await asyncio.to_thread(began.wait, 10)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            go.set()
            await asyncio.to_thread(done.wait, 10)

        asyncio.run(cancelled())
        assert outline(db) == snapshot("""\
agent worker cancelled
  llm OrderedModel [worker]
  tool slow [worker]
run: cancelled\
""")
        assert config["callbacks"][0].tracker.entries == {}


class Shelf(BaseRetriever):
    """Two documents, whatever is asked."""

    def _get_relevant_documents(self, query, *, run_manager):
        if query == "fail":
            raise LookupError("no such shelf")
        return [Document("Beans", id="d1", metadata={"row": 1}), Document("Milk", id=None)]


class Shelves(VectorStore):
    """A vector store with one document."""

    def similarity_search(self, query, k=4, **_):
        return [Document("Beans", id="d1")]

    @classmethod
    def from_texts(cls, texts, embedding, metadatas=None, **_):
        return cls()


class TestRetriever:
    def test_each_document_is_a_piece_of_data_read(self, db, config):
        Shelf().invoke("beans", config)
        assert outline(db) == snapshot("retrieval Shelf")
        with counterfoil.open(db) as store:
            assert [(one.source, one.query, one.item_id, one.bytes) for one in store.accesses()] == [
                ("Shelf", "beans", "d1", 5),
                ("Shelf", "beans", None, 4),
            ]
            (step,) = store.steps("last")
            assert (step.input, step.output) == snapshot(
                (
                    "beans",
                    [
                        {"id": "d1", "metadata": {"row": 1}, "page_content": "Beans"},
                        {"id": None, "metadata": {}, "page_content": "Milk"},
                    ],
                )
            )

    def test_behind_a_tool_it_stands_in_it(self, db, config):
        look = create_retriever_tool(Shelf(), "look", "Look for it.")
        run(config, [("look", {"query": "beans"})], [look])
        assert outline(db) == snapshot("""\
agent worker
  llm OrderedModel [worker]
  tool look [worker]
    retrieval Shelf [worker]
  llm OrderedModel [worker]\
""")

    def test_a_search_beside_it_is_seen_where_the_tool_says_so(self, db, config, monkeypatch):
        monkeypatch.setenv("COUNTERFOIL_DB", str(db))
        store = Shelves.from_texts([], None)

        @tool
        def search(query: str) -> str:
            """Search, of which LangChain tells nobody."""
            found = store.similarity_search(query)
            counterfoil.access("shelf", query=query, items=[one.id for one in found])
            return found[0].page_content

        run(config, [("search", {"query": "beans"})], [search])
        assert outline(db) == snapshot("""\
agent worker
  llm OrderedModel [worker]
  tool search [worker]
  llm OrderedModel [worker]\
""")
        with counterfoil.open(db) as opened:
            assert [(one.source, one.item_id, one.agent) for one in opened.accesses()] == [
                ("shelf", "d1", "worker")
            ]

    def test_one_that_fails_is_an_error(self, db, config):
        with pytest.raises(LookupError):
            Shelf().invoke("fail", config)
        assert outline(db) == snapshot("""\
retrieval Shelf error (LookupError)
run: error\
""")
