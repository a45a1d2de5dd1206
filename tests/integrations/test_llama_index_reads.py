"""What LlamaIndex reads: retrievers, embeddings, postprocessors, query and chat engines, and answers that are streamed."""

import asyncio

import pytest
from inline_snapshot import snapshot
from llama_index.core import Document, MockEmbedding, VectorStoreIndex
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.tools import QueryEngineTool, RetrieverTool
from llama_index.embeddings.openai import OpenAIEmbedding

import counterfoil
from llama_index_apps import agent, model
from outline import outline, outlines
from support_desk.endpoint import Reply, call, in_turn

pytestmark = pytest.mark.usefixtures("llama_index")

TEXTS = ("green tea", "black tea", "coffee")


class First(BaseNodePostprocessor):
    def _postprocess_nodes(self, nodes, query_bundle=None):
        return nodes[:1]


@pytest.fixture
def index(llama_index, db):
    """Three documents; building the index is recorded elsewhere."""
    llama_index.uninstall()
    documents = [Document(text=one, id_=f"D{n}", metadata={"shelf": n}) for n, one in enumerate(TEXTS)]
    made = VectorStoreIndex.from_documents(documents, embed_model=MockEmbedding(embed_dim=8))
    llama_index.install(db, quiet=True)
    return made


@pytest.fixture
def llm(serve):
    return model(serve(in_turn(Reply("Green tea."))))


def steps(db, kind):
    with counterfoil.open(db) as store:
        return [
            node.step
            for run in store.runs(all=True)
            for node in _all(store.tree(run))
            if node.step.kind == kind
        ]


def _all(nodes):
    for node in nodes:
        yield node
        yield from _all(node.children)


class TestRetrieval:
    def test_what_was_read(self, db, index):
        nodes = index.as_retriever(similarity_top_k=2).retrieve("which tea?")
        assert outline(db) == snapshot("""\
retrieval VectorIndexRetriever
  embedding MockEmbedding\
""")
        (one,) = steps(db, "retrieval")
        assert one.input == "which tea?"
        assert one.output == [
            {
                "id": node.node_id,
                "score": node.score,
                "metadata": node.metadata,
                "document": node.node.ref_doc_id,
                "text": node.text,
            }
            for node in nodes
        ]

    def test_each_node_is_an_access(self, db, index):
        nodes = index.as_retriever(similarity_top_k=2).retrieve("which tea?")
        with counterfoil.open(db) as store:
            found = store.accesses()
        assert [(one.source, one.query, one.item_id, one.score, one.bytes) for one in found] == [
            ("VectorIndexRetriever", "which tea?", node.node_id, node.score, len(node.text)) for node in nodes
        ]

    async def test_in_asyncio_and_as_an_agents_tool(self, db, index, serve):
        tool = RetrieverTool.from_defaults(index.as_retriever(), name="shelf", description="The shelf")
        script = in_turn(Reply(calls=[call("shelf", input="tea")]), Reply("Green."))
        await agent("clerk", model(serve(script)), tool).run("x")
        assert outline(db) == snapshot("""\
agent clerk
  llm OpenAI [clerk]
  tool shelf [clerk]
    retrieval VectorIndexRetriever [clerk]
      embedding MockEmbedding [clerk]
  llm OpenAI [clerk]\
""")
        with counterfoil.open(db) as store:
            assert {one.agent for one in store.accesses()} == {"clerk"}


class TestEmbeddings:
    def test_how_many_and_how_long_but_no_vectors(self, db):
        MockEmbedding(embed_dim=8).get_text_embedding_batch(["a", "b", "c"])
        (one,) = steps(db, "embedding")
        assert (one.output, one.input, one.input_tokens) == ({"texts": 3, "dimensions": 8}, None, None)

    async def test_batches_at_once(self, db):
        embedding = MockEmbedding(embed_dim=8, embed_batch_size=2)
        await embedding.aget_text_embedding_batch(["a", "b", "c", "d", "e"])
        assert sorted(one.output["texts"] for one in steps(db, "embedding")) == [1, 2, 2]

    def test_of_a_provider(self, db, serve):
        endpoint = serve([])
        OpenAIEmbedding(api_base=endpoint.url, api_key="offline").get_query_embedding("tea")
        with counterfoil.open(db) as store:
            _, rows = store.sql(
                "SELECT name, request_model, provider, input_tokens FROM t_steps WHERE kind = 'embedding'"
            )
        assert rows == [("OpenAIEmbedding", "text-embedding-ada-002", "openai", None)]

    def test_one_that_fails(self, db):
        class Broken(MockEmbedding):
            def _get_query_embedding(self, query):
                raise ConnectionError("no line")

        with pytest.raises(ConnectionError):
            Broken(embed_dim=8).get_query_embedding("tea")
        (one,) = steps(db, "embedding")
        assert (one.status, one.error_type) == ("error", "ConnectionError")


class TestQueries:
    def test_a_query(self, db, index, llm):
        assert str(index.as_query_engine(llm=llm).query("which tea?")) == "Green tea."
        assert outline(db) == snapshot("""\
task RetrieverQueryEngine
  retrieval VectorIndexRetriever
    embedding MockEmbedding
  llm OpenAI\
""")
        (one,) = steps(db, "task")
        assert (one.input, one.output) == ("which tea?", "Green tea.")

    async def test_in_asyncio_with_a_postprocessor(self, db, index, llm):
        engine = index.as_query_engine(llm=llm, node_postprocessors=[First()], similarity_top_k=2)
        await engine.aquery("which tea?")
        assert outline(db) == snapshot("""\
task RetrieverQueryEngine
  retrieval VectorIndexRetriever
    embedding MockEmbedding
  other First
  llm OpenAI\
""")
        (one,) = steps(db, "other")
        assert (len(one.input), len(one.output)) == (2, 1)

    async def test_as_an_agents_tool(self, db, index, llm, serve):
        tool = QueryEngineTool.from_defaults(index.as_query_engine(llm=llm), name="kb", description="Knows")
        script = in_turn(Reply(calls=[call("kb", input="tea")]), Reply("Green."))
        await agent("clerk", model(serve(script)), tool).run("x")
        assert outline(db) == snapshot("""\
agent clerk
  llm OpenAI [clerk]
  tool kb [clerk]
    task RetrieverQueryEngine [clerk]
      retrieval VectorIndexRetriever [clerk]
        embedding MockEmbedding [clerk]
      llm OpenAI [clerk]
  llm OpenAI [clerk]\
""")

    def test_one_that_fails(self, db, index, serve):
        from openai import InternalServerError

        with pytest.raises(InternalServerError):
            index.as_query_engine(llm=model(serve(lambda _: Reply(error=500)))).query("x")
        assert outline(db) == snapshot("""\
task RetrieverQueryEngine error
  retrieval VectorIndexRetriever
    embedding MockEmbedding
  llm OpenAI error (InternalServerError)
run: error\
""")

    def test_a_pipeline_is_one_run(self, db):
        pipeline = IngestionPipeline(transformations=[SentenceSplitter(), MockEmbedding(embed_dim=8)])
        pipeline.run(documents=[Document(text="tea")])
        assert outline(db) == snapshot("""\
other IngestionPipeline
  embedding MockEmbedding\
""")

    def test_building_an_index_is_no_run_of_an_agents(self, db):
        VectorStoreIndex.from_documents([Document(text="tea")], embed_model=MockEmbedding(embed_dim=8))
        assert outlines(db) == "embedding MockEmbedding"
        with counterfoil.open(db) as store:
            assert store.runs() == []


class TestStreamedAnswers:
    def test_what_is_read_later_stands_in_the_same_run(self, db, index, llm):
        answer = index.as_query_engine(llm=llm, streaming=True).query("which tea?")
        assert "".join(answer.response_gen) == "Green tea."
        assert outlines(db) == snapshot("""\
task RetrieverQueryEngine
  retrieval VectorIndexRetriever
    embedding MockEmbedding
  llm OpenAI\
""")

    async def test_in_asyncio(self, db, index, llm):
        answer = await index.as_query_engine(llm=llm, streaming=True).aquery("which tea?")
        assert "".join([piece async for piece in answer.async_response_gen()]) == "Green tea."
        assert outlines(db).count("llm OpenAI") == 1
        assert "--" not in outlines(db)

    def test_two_read_in_turns_keep_to_their_own(self, db, index, serve):
        llm = model(
            serve(
                lambda request: Reply(f"about {'milk' if 'milk' in str(request.messages) else 'tea'} it is")
            )
        )
        engine = index.as_query_engine(llm=llm, streaming=True)
        one, two = engine.query("tea?").response_gen, engine.query("milk?").response_gen
        for _ in zip(one, two, strict=False):
            pass
        list(one), list(two)
        with counterfoil.open(db) as store:
            for run in store.runs(all=True):
                (made,) = store.llm_calls(run)
                assert run.input.rstrip("?") in store.messages(made).output[0]["parts"][0]["content"]

    def test_one_that_is_closed_early(self, db, index, llm):
        stream = index.as_query_engine(llm=llm, streaming=True).query("which tea?").response_gen
        next(stream)
        stream.close()
        assert "llm OpenAI cancelled" in outlines(db)

    def test_the_host_reads_what_it_would_have_read(self, db, index, llm, llama_index):
        recorded = str(index.as_query_engine(llm=llm, streaming=True).query("which tea?"))
        llama_index.uninstall()
        assert recorded == str(index.as_query_engine(llm=llm, streaming=True).query("which tea?"))


class TestChats:
    def test_a_chat_engine(self, db, index, llm):
        engine = index.as_chat_engine(llm=llm, chat_mode="context")
        assert str(engine.chat("which tea?")) == "Green tea."
        assert outline(db) == snapshot("""\
task ContextChatEngine
  retrieval VectorIndexRetriever
    embedding MockEmbedding
  llm OpenAI\
""")
        (one,) = steps(db, "task")
        assert (one.input, one.output) == ("which tea?", "Green tea.")

    def test_streamed(self, db, index, llm):
        answer = index.as_chat_engine(llm=llm, chat_mode="context").stream_chat("which tea?")
        assert "".join(answer.response_gen) == "Green tea."
        assert outlines(db) == snapshot("""\
task ContextChatEngine
  retrieval VectorIndexRetriever
    embedding MockEmbedding
  llm OpenAI\
""")

    async def test_streamed_in_asyncio(self, db, index, llm):
        answer = await index.as_chat_engine(llm=llm, chat_mode="context").astream_chat("which tea?")
        assert "".join([piece async for piece in answer.async_response_gen()]) == "Green tea."
        await asyncio.sleep(0.05)
        assert outlines(db).count("llm OpenAI") == 1
        assert "--" not in outlines(db)
