"""Secrets in every place of an agent or a query where a string can enter: none is on the disk, in store, WAL or tape."""

import asyncio
import json
from contextlib import contextmanager

import pytest
from llama_index.core import Document, MockEmbedding, VectorStoreIndex
from llama_index.core.tools import FunctionTool
from llama_index.core.workflow import (
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)
from openai import InternalServerError

import counterfoil
import counterfoil_llama_index
from canaries import Canaries, PlainWords, files_of
from counterfoil import Rule, guard
from llama_index_apps import agent, answered, close_models, model, office, text
from support_desk.endpoint import Endpoint, Reply, Request, call

pytestmark = pytest.mark.slow

#: What `capture="metadata"` keeps: names and ids.
NAMES = {"agent name", "run name", "session", "task", "label", "label's key", "waiter"}

#: What is not recorded at all, redacted or not.
NEVER_RECORDED = {
    "API key",
    "header",
    "vector",
    "reasoning",  # the endpoint counts it, and sends none
    "cause of the exception of a tool",
    "cause of the exception of a step",
}


class Mine(Event):
    note: str
    model: object = None


async def agents_over_http(canaries, db):
    """Names, prompts, histories, arguments, results, definitions, handoffs, exceptions, and the model's settings."""
    arguments = {
        "body": json.dumps({"config": json.dumps(canaries.fields("JSON in JSON arguments"))}),
        "note": canaries.text("arguments"),
    }
    front = [
        Reply(canaries.text("text beside a call"), calls=[("unlock", arguments)]),
        Reply(calls=[call("nobody", body=canaries.text("arguments of an unknown tool"))]),
        Reply(calls=[call("unlock", wrong=canaries.text("invalid arguments"))]),
        Reply(calls=[call("refuse", why=canaries.text("arguments of a tool that fails"))]),
        Reply(
            calls=[call("handoff", to_agent=canaries.line("unknown agent"), reason=canaries.text("reason"))]
        ),
        Reply(calls=[call("handoff", to_agent="back", reason=canaries.text("reason"))]),
    ]

    def unlock(body: str, note: str) -> dict:
        return {"text": canaries.text("tool result"), "fields": canaries.fields("tool result")}

    def refuse(why: str) -> str:
        """Refuse."""
        try:
            raise KeyError(canaries.text("cause of the exception of a tool"))
        except KeyError as cause:
            raise LookupError(canaries.text("exception of a tool")) from cause

    def script(request: Request):
        if "You are back" in request.system:
            return Reply(canaries.text("last answer"), reasoning=canaries.text("reasoning"))
        return front[len(request.answered)]

    with Endpoint(script) as endpoint:
        llm = model(
            endpoint, api_key=canaries.bare("API key"), default_headers={"x-key": canaries.bare("header")}
        )
        tool = FunctionTool.from_defaults(unlock, description=canaries.text("tool description"))
        prompt = "You are front.\n" + canaries.text("system prompt")
        desk = office(
            agent("front", llm, tool, refuse, system_prompt=prompt),
            agent("back", llm, description=canaries.text("description of an agent")),
            initial_state={"note": canaries.text("state"), "fields": canaries.fields("state")},
        )
        with counterfoil.run(
            canaries.line("run name"),
            db=db,
            task=canaries.line("task"),
            session=canaries.line("session"),
            labels={"tier": canaries.line("label"), canaries.line("label's key"): "x"},
        ):
            done = await desk.run(
                canaries.text("input"), chat_history=[text("user", canaries.text("chat history"))]
            )
        assert canaries.all_in("last answer", str(done))
        await agent(f"clerk {canaries.line('agent name')}", llm, system_prompt="You are back.").run("x")


agents_over_http.recorded = {
    "SELECT agent FROM steps WHERE kind = 'agent' AND name LIKE 'clerk%'": 1,
    "SELECT content FROM messages WHERE role = 'system' AND content LIKE 'You are front%'": 1,
    "SELECT arguments FROM tool_calls": 6,
    "SELECT result FROM tool_calls WHERE tool = 'unlock' AND status = 'ok'": 1,
    "SELECT error_message FROM tool_calls WHERE tool = 'refuse'": 1,
    "SELECT tools FROM llm_calls WHERE agent = 'front'": 6,
    "SELECT reason FROM handoffs": 2,
    "SELECT session_id FROM runs WHERE session_id IS NOT NULL": 1,
    "SELECT labels FROM runs WHERE labels LIKE '%tier%'": 1,
}


async def streams(canaries, db):
    """Text that comes word by word, tool arguments in pieces, and a stream that is cut."""
    arguments = {"query": canaries.text("streamed arguments")}

    async def look(query: str) -> str:
        """Look."""
        return "found"

    def script(request):
        if request.results:
            return Reply(canaries.text("streamed answer"))
        return Reply(calls=[("look", arguments)])

    with Endpoint(script) as endpoint:
        await agent("reader", model(endpoint), look).run("x")
    cut = Endpoint(lambda _: Reply(canaries.text("stream that was cut"), hang_up=40))
    with cut as endpoint, pytest.raises(Exception, match="peer closed"):
        await asyncio.to_thread(lambda: list(model(endpoint).stream_complete("q")))

    def quote(request: Request):
        raise RuntimeError(f"cannot answer {request.messages}")

    # The endpoint quotes the request, and the client the endpoint.
    with Endpoint(quote) as endpoint, pytest.raises(InternalServerError):
        await asyncio.to_thread(model(endpoint).complete, canaries.text("prompt that a server quotes"))


streams.recorded = {
    "SELECT output FROM steps WHERE kind = 'llm' AND status = 'ok'": 2,
    "SELECT arguments FROM tool_calls": 1,
    "SELECT error_message FROM steps WHERE kind = 'llm' AND error_message LIKE '%key%'": 1,
}


async def workflows_and_humans(canaries, db):
    """Events of the host's own, what is asked and answered, and exceptions of steps."""

    waiter = canaries.line("waiter")  # the step is run twice, and must wait for the same

    class Flow(Workflow):
        @step
        async def begin(self, ctx: Context, ev: StartEvent) -> Mine:
            with counterfoil.step("own step", db=db, input=canaries.text("own step")) as span:
                span.set(output=canaries.fields("own step"))
            question = InputRequiredEvent(prefix=canaries.text("question"))
            said = await ctx.wait_for_event(HumanResponseEvent, waiter_event=question, waiter_id=waiter)
            assert canaries.all_in("answer", said.response)
            return Mine(note=canaries.text("event"), model=model(endpoint, api_key=canaries.bare("API key")))

        @step
        async def end(self, ev: Mine) -> StopEvent:
            return StopEvent(result=canaries.fields("result"))

    class Broken(Workflow):
        @step
        async def only(self, ev: StartEvent) -> StopEvent:
            try:
                raise KeyError(canaries.text("cause of the exception of a step"))
            except KeyError as cause:
                raise LookupError(canaries.text("exception of a step")) from cause

    with Endpoint([]) as endpoint:
        await answered(Flow().run(note=canaries.text("start event")), canaries.text("answer"))
        with pytest.raises(LookupError):
            await Broken().run()


workflows_and_humans.recorded = {
    "SELECT input FROM steps WHERE kind = 'workflow' AND name = 'Flow'": 1,
    "SELECT output FROM steps WHERE kind = 'workflow' AND name = 'Flow'": 1,
    "SELECT input FROM steps WHERE kind = 'task' AND name = 'end'": 1,
    "SELECT input FROM steps WHERE kind = 'human'": 1,
    "SELECT output FROM steps WHERE kind = 'human'": 1,
    "SELECT error_message FROM steps WHERE kind = 'task' AND error_message IS NOT NULL": 1,
    "SELECT input || output FROM steps WHERE name = 'own step'": 2,  # before the wait, and again
}


async def queries(canaries, db):
    """Documents, their metadata, queries, and the answers."""

    class Embedding(MockEmbedding):
        def _get_vector(self):
            return [float(len(canaries.bare("vector"))), 1.0]

    document = Document(text=canaries.text("document"), metadata={"path": canaries.line("metadata")})
    with Endpoint(lambda _: Reply(canaries.text("answer of a query"))) as endpoint:
        index = VectorStoreIndex.from_documents([document], embed_model=Embedding(embed_dim=2))
        await index.as_query_engine(llm=model(endpoint)).aquery(canaries.text("query"))


queries.recorded = {
    "SELECT input FROM steps WHERE kind = 'retrieval'": 1,
    "SELECT output FROM steps WHERE kind = 'retrieval'": 1,
    "SELECT DISTINCT query FROM accesses": 1,
    "SELECT input FROM steps WHERE kind = 'task'": 1,
    "SELECT output FROM steps WHERE kind = 'task'": 1,
}

SCENARIOS = pytest.mark.parametrize("scenario", [agents_over_http, streams, workflows_and_humans, queries])


@pytest.fixture
async def db(tmp_path, monkeypatch):
    path = tmp_path / "store" / "counterfoil.db"
    path.parent.mkdir()
    monkeypatch.setenv("COUNTERFOIL_DRAIN", "off")
    before = guard.counted()
    yield path
    await close_models()
    assert guard.counted() == before


@contextmanager
def recording(db, **options):
    counterfoil_llama_index.install(db, quiet=True, **options)
    try:
        yield
    finally:
        counterfoil_llama_index.uninstall()


def leaks(canaries, db):
    return {name: canaries.found_in(data) for name, data in files_of(db).items() if canaries.found_in(data)}


class TestSecrets:
    @SCENARIOS
    async def test_no_secret_is_on_the_disk_and_a_mark_is_where_it_was(self, db, scenario):
        canaries = Canaries()
        with recording(db):
            await scenario(canaries, db)
        assert [name for name in files_of(db) if name.endswith(".tape")]
        assert leaks(canaries, db) == {}  # on the tape, before it is drained
        with counterfoil.open(db) as store:
            assert {db.name, db.name + "-wal", db.name + "-shm"} <= set(files_of(db))
            assert leaks(canaries, db) == {}
            for query, count in scenario.recorded.items():
                rows = [row for (row,) in store.sql(query)[1]]
                assert len(rows) == count, (query, rows)
                assert [row for row in rows if "[redacted:" not in str(row)] == [], query
        assert leaks(canaries, db) == {}

    async def test_the_search_finds_them_where_nothing_is_taken_out(self, db, monkeypatch):
        monkeypatch.setenv("COUNTERFOIL_REDACT", "off")
        canaries = Canaries()
        with recording(db):
            for scenario in SCENARIOS.args[1]:
                await scenario(canaries, db)
        (tapes,) = (data for name, data in files_of(db).items() if name.endswith(".tape"))
        found = {place for place, _ in canaries.found_in(tapes)}
        assert canaries.places - found == NEVER_RECORDED

    async def test_users_take_out_more_with_rules_and_functions_of_their_own(self, db):
        def without_names(text):
            return text.replace("Ada Njoroge", "[a customer]")

        rules = [Rule("customer", r"C-\d{3}", ("C-",)), without_names]
        with recording(db, redactors=rules), Endpoint(lambda r: Reply(f"Noted: {r.user}")) as endpoint:
            said = await agent("clerk", model(endpoint)).run("C-204 is Ada Njoroge")
            assert str(said) == "Noted: C-204 is Ada Njoroge"
        assert not any(word in data for data in files_of(db).values() for word in (b"C-204", b"Njoroge"))


class TestMetadata:
    @SCENARIOS
    async def test_no_content_at_all_is_on_the_disk(self, db, scenario):
        words = PlainWords()
        with recording(db, capture="metadata"):
            await scenario(words, db)
        with counterfoil.open(db) as store:
            found = {place for data in files_of(db).values() for place, _ in words.found_in(data)}
            assert found <= NAMES | {"unknown agent"}
            ((steps, *content),) = store.sql(
                "SELECT count(*), count(input), count(output), count(error_message) FROM steps"
            )[1]
            assert steps > 0
            assert content == [0, 0, 0]
            assert store.sql("SELECT count(*) FROM messages")[1] == [(0,)]
