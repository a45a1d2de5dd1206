"""Secrets in every place of a crew or a flow where a string can enter: none is on the disk, in store, WAL or tape."""

import contextvars
import io
import json
import sys
from contextlib import contextmanager
from tempfile import TemporaryDirectory

import pytest
from crewai import Flow
from crewai.flow.flow import listen, router, start
from crewai.flow.human_feedback import human_feedback
from crewai.hooks import HookAborted, register_before_tool_call_hook, unregister_before_tool_call_hook
from crewai.memory.unified_memory import Memory
from crewai.tools import tool
from openai import InternalServerError
from pydantic import BaseModel

import counterfoil
from canaries import Canaries, PlainWords, files_of
from counterfoil import Rule, guard
from counterfoil_crewai import CounterfoilListener
from crewai_apps import agent, crew, model, search, task
from support_desk.endpoint import Endpoint, Reply, Request, call

pytestmark = pytest.mark.slow

#: What `capture="metadata"` keeps: names and ids.
NAMES = {"role", "crew name", "task name", "flow id", "run name", "session", "task", "label", "label's key"}

#: What is not recorded at all, redacted or not.
NEVER_RECORDED = {
    "API key",
    "base URL",
    "header",
    "organization",
    "body of a request",
    "text beside a call",  # CrewAI drops it
    *(f"cause of the exception of a {place}" for place in ("tool", "method", "guardrail")),
}


def crew_over_http(canaries, db):
    """Role, goal, backstory, prompts, inputs, context of a task, arguments, results, definitions, the model's settings."""
    heard = {}
    arguments = {
        "body": json.dumps({"config": json.dumps(canaries.fields("JSON in JSON arguments"))}),
        "note": canaries.text("arguments"),
    }
    answers = [
        Reply(canaries.text("text beside a call"), calls=[("unlock", arguments)]),
        Reply(calls=[call("nobody", body=canaries.text("arguments of an unknown tool"))]),
        Reply(calls=[call("unlock", body=["no", "string", canaries.text("invalid arguments")])]),
        Reply(calls=[call("refuse", why=canaries.text("arguments of a tool that fails"))]),
        Reply(canaries.text("first answer")),
    ]

    def unlock(body: str, note: str) -> dict:
        heard.update(body=body, note=note)
        return {"text": canaries.text("tool result"), "fields": canaries.fields("tool result")}

    def refuse(why: str, how: str = canaries.text("default of an argument")) -> str:
        """Refuse."""
        raise LookupError(canaries.text("tool exception"))

    unlock.__doc__ = canaries.text("tool description")

    def script(request: Request):
        if "Second" in request.user:
            return Reply(canaries.text("last answer"))
        return answers[len(request.answered)]

    with Endpoint(script) as endpoint:
        llm = model(
            endpoint,
            base_url=endpoint.url.replace("://", f"://user:{canaries.bare('base URL')}@"),
            api_key=canaries.bare("API key"),
            default_headers={"x-api-key": canaries.bare("header")},
            organization=canaries.bare("organization"),
            additional_params={"extra_body": {"note": canaries.bare("body of a request")}},
        )
        keeper = agent(
            f"keeper {canaries.line('role')}",
            llm,
            tool("unlock")(unlock),
            tool("refuse")(refuse),
        )
        keeper.goal = canaries.text("goal")
        keeper.backstory = canaries.text("backstory")
        first = task(keeper, "First {what}\n" + canaries.text("description"), name=canaries.line("task name"))
        first.expected_output = canaries.text("expected output")
        second = task(keeper, "Second", context=[first])
        with counterfoil.run(
            canaries.line("run name"),
            db=db,
            task=canaries.line("task"),
            session=canaries.line("session"),
            labels={"tier": canaries.line("label"), canaries.line("label's key"): "x"},
        ):
            done = crew(first, second, name=f"office {canaries.line('crew name')}").kickoff(
                {"what": canaries.text("input"), "settings": canaries.fields("fields of an input")}
            )
        told = [one for entry in endpoint.ledger for one in (entry.messages, entry.tools, entry.headers)]
    everything = "\n".join(_strings(told))
    for place in (
        "role", "goal", "backstory", "description", "expected output", "input", "first answer", "tool result",
        "tool description", "tool exception", "arguments of a tool that fails", "header",
    ):  # fmt: skip
        assert canaries.all_in(place, everything), place
    assert canaries.all_in("JSON in JSON arguments", heard["body"])
    assert canaries.all_in("arguments", heard["note"])
    assert canaries.all_in("last answer", done.raw)


crew_over_http.recorded = {
    "SELECT content FROM messages WHERE role IN ('system', 'user')": 4,
    "SELECT agent FROM steps WHERE kind = 'agent'": 2,
    "SELECT name FROM steps WHERE kind = 'workflow'": 2,
    "SELECT name FROM steps WHERE kind = 'task' AND name <> 'task'": 1,
    "SELECT input FROM steps WHERE kind = 'workflow' AND input IS NOT NULL": 1,
    "SELECT input FROM steps WHERE kind = 'task' AND name <> 'task'": 1,
    "SELECT json_extract(input, '$.context') FROM steps WHERE kind = 'task' AND name = 'task'": 1,
    "SELECT arguments FROM tool_calls": 4,
    "SELECT result FROM tool_calls WHERE tool = 'unlock' AND result IS NOT NULL": 1,
    "SELECT error_message FROM tool_calls WHERE tool = 'refuse'": 1,
    "SELECT tools FROM llm_calls": 6,
    "SELECT output FROM steps WHERE kind = 'llm'": 6,
    "SELECT session_id FROM runs": 1,
    "SELECT task FROM runs": 1,
    "SELECT labels FROM runs": 1,
}


def model_that_streams(canaries, db):
    """Text that comes word by word, and tool arguments in pieces of twelve characters."""
    arguments = {"query": canaries.text("streamed arguments")}
    with Endpoint(
        lambda request: (
            Reply(canaries.text("streamed answer"))
            if request.results
            else Reply(calls=[("search", arguments)])
        )
    ) as endpoint:
        done = crew(task(agent("reader", model(endpoint, stream=True), search))).kickoff()
        assert canaries.all_in("streamed arguments", "\n".join(_strings(endpoint.ledger[-1].messages)))
        assert canaries.all_in("streamed answer", done.raw)
        list(crew(task(agent("reader", model(endpoint), search)), stream=True).kickoff())


model_that_streams.recorded = {
    "SELECT output FROM steps WHERE kind = 'llm'": 4,
    "SELECT arguments FROM tool_calls": 2,
}


def exceptions(canaries, db):
    """Text of exceptions: of a tool, a method, a guardrail, a hook, a model; and what a cut stream had said."""

    def fails(place):
        try:
            raise KeyError(canaries.text(f"cause of the exception of a {place}"))
        except KeyError as cause:
            raise RuntimeError(canaries.text(f"exception of a {place}")) from cause

    @tool("use")
    def use(word: str) -> str:
        """Use."""
        fails("tool")

    class Failing(Flow):
        @start()
        def work(self):
            fails("method")

    def refuses(_):
        return False, canaries.text("why a guardrail said no")

    def raises(_):
        fails("guardrail")

    def aborts(_):
        raise HookAborted(reason=canaries.text("why a hook said no"), source="hook")

    def quote(request: Request):
        raise RuntimeError(f"cannot answer {request.messages}")

    def uses(request: Request):
        return Reply("done") if request.results else Reply(calls=[call("use", word="x")])

    with Endpoint(uses) as endpoint:
        user = agent("user", model(endpoint), use)
        crew(task(user)).kickoff()
        for guardrail in (refuses, raises):
            with pytest.raises(Exception, match=r"key|word"):
                contextvars.Context().run(
                    crew(task(user, guardrail=guardrail, guardrail_max_retries=1)).kickoff
                )
        register_before_tool_call_hook(aborts)
        try:
            contextvars.Context().run(crew(task(user)).kickoff)
        finally:
            unregister_before_tool_call_hook(aborts)
    with pytest.raises(RuntimeError):
        Failing().kickoff()
    # The endpoint quotes the request, and the client the endpoint.
    with Endpoint(quote) as endpoint, pytest.raises(InternalServerError):
        model(endpoint).call(canaries.text("prompt that a server quotes"))
    with (
        Endpoint(lambda _: Reply(canaries.text("stream that was cut"), hang_up=40)) as endpoint,
        pytest.raises(Exception, match="peer closed"),
    ):
        model(endpoint, stream=True).call("q")


exceptions.recorded = {
    "SELECT error_message FROM tool_calls WHERE status = 'error'": 4,
    "SELECT error_message FROM steps WHERE kind = 'task' AND error_message IS NOT NULL": 3,
    "SELECT error_message FROM steps WHERE kind = 'llm' AND error_message LIKE '%key%'": 1,
    "SELECT output FROM steps WHERE kind = 'llm' AND status = 'error' AND output IS NOT NULL": 1,
    "SELECT reason FROM decisions": 1,
}


def flow_state(canaries, db):
    """State of both kinds, inputs, what methods give, and steps of the host's own."""

    class Loose(Flow):
        @start()
        def begin(self):
            self.state["note"] = canaries.text("state")
            self.state["fields"] = canaries.fields("state")
            assert canaries.all_in("input of a flow", self.state["given"])
            with counterfoil.step("own step", db=db, input=canaries.text("own step")) as span:
                span.set(output=canaries.fields("own step"))
            return canaries.text("result of a method")

        @router(begin)
        def choose(self, result):
            return "left"

        @listen("left")
        def end(self):
            return canaries.fields("result of a flow")

    class State(BaseModel):
        note: str = ""
        fields: dict = {}

    class Strict(Flow[State]):
        @start()
        def begin(self):
            self.state.note = canaries.text("state of a class")
            self.state.fields = canaries.fields("state of a class")
            return [canaries.text("result in a list")]

        @listen(begin)
        def end(self):
            return "done"

    Loose().kickoff({"id": canaries.line("flow id"), "given": canaries.text("input of a flow")})
    Strict().kickoff()


flow_state.recorded = {
    "SELECT input FROM steps WHERE kind = 'task' AND name = 'end'": 2,
    "SELECT output FROM steps WHERE kind = 'task' AND name = 'begin'": 2,
    "SELECT input FROM steps WHERE kind = 'workflow' AND name = 'Loose'": 1,
    "SELECT output FROM steps WHERE kind = 'workflow' AND name = 'Loose'": 1,
    "SELECT input || output FROM steps WHERE name = 'own step'": 1,
    "SELECT session_id FROM runs WHERE name = 'Loose'": 1,
}


@contextmanager
def typed(*lines):
    """Have a human type these lines."""
    stdin, sys.stdin = sys.stdin, io.StringIO("".join(f"{line}\n" for line in lines))
    try:
        yield
    finally:
        sys.stdin = stdin


def handoffs_and_humans(canaries, db):
    """What a coworker is asked, and why; what a human is asked, and answers."""

    def script(request: Request):
        if "You are expert" in request.system:
            return Reply(canaries.text("expert's answer"))
        asks = ("ask_question_to_coworker", "delegate_work_to_coworker")
        if "Clear" in request.transcript or len(request.answered) == len(asks):
            return Reply(canaries.text("answer to a human"))
        about = ("question", "task")[len(request.answered)]
        asked = {
            about: canaries.text(f"{about} to a coworker"),
            "context": canaries.text("context for a coworker"),
            "coworker": "expert" if about == "question" else canaries.line("unknown coworker"),
        }
        return Reply(calls=[(asks[len(request.answered)], asked)])

    class Asking(Flow):
        @start()
        @human_feedback(message=canaries.line("question to a human"))
        def judge(self):
            return canaries.text("what a human judges")

        @listen(judge)
        def go_on(self, result):
            answer = self.ask(canaries.line("question of ask()"))
            assert canaries.all_in("answer of ask()", answer)

    with Endpoint(script) as endpoint:
        llm = model(endpoint)
        front = agent("front", llm, allow_delegation=True)
        crew(task(front), agents=[agent("expert", llm)]).kickoff()
        with typed(canaries.line("feedback on a task"), ""):
            crew(task(agent("front", llm), "Clear", human_input=True)).kickoff()
    with typed(canaries.line("human's answer"), canaries.line("answer of ask()")):
        Asking().kickoff()


handoffs_and_humans.recorded = {
    "SELECT reason FROM handoffs WHERE reason IS NOT NULL": 2,
    "SELECT payload FROM handoffs": 6,
    "SELECT answer FROM handoffs WHERE length(answer) > 2": 4,
    "SELECT target_asked FROM handoffs WHERE status = 'refused'": 1,
    "SELECT input FROM steps WHERE kind = 'human'": 4,
    "SELECT output FROM steps WHERE kind = 'human' AND length(output) > 2": 3,
}


def memory(canaries, db):
    """What is remembered, and looked for."""

    def embedded(texts):
        return [[float(len(text) % 7), 1.0, 2.0] for text in texts]

    with Endpoint(lambda _: Reply("done")) as endpoint, TemporaryDirectory() as folder:
        llm = model(endpoint)
        kept = Memory(llm=llm, embedder=embedded, storage=folder)
        kept.remember(canaries.text("memory"), scope="/", categories=["x"], importance=0.5)
        crew(task(agent("clerk", llm), canaries.text("what memory is searched for")), memory=kept).kickoff()
        kept.close()


memory.recorded = {
    "SELECT query FROM accesses": 1,
    "SELECT input FROM steps WHERE kind = 'memory' AND name = 'query'": 1,
    "SELECT output FROM steps WHERE kind = 'memory' AND name IN ('query', 'retrieval')": 2,
}

SCENARIOS = [crew_over_http, model_that_streams, exceptions, flow_state, handoffs_and_humans, memory]


@pytest.fixture
def db(tmp_path, monkeypatch):
    path = tmp_path / "store" / "counterfoil.db"
    path.parent.mkdir()
    monkeypatch.setenv("COUNTERFOIL_DRAIN", "off")
    before = guard.counted()
    yield path
    assert guard.counted() == before


@contextmanager
def listening(db, **options):
    listener = CounterfoilListener(db, **options)
    try:
        yield
    finally:
        listener.close()


def _strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def leaks(canaries, db):
    return {name: canaries.found_in(data) for name, data in files_of(db).items() if canaries.found_in(data)}


class TestSecrets:
    @pytest.mark.parametrize("scenario", SCENARIOS)
    def test_no_secret_is_on_the_disk_and_a_mark_is_where_it_was(self, db, scenario):
        canaries = Canaries()
        with listening(db):
            scenario(canaries, db)
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

    def test_the_search_finds_them_where_nothing_is_taken_out(self, db, monkeypatch):
        monkeypatch.setenv("COUNTERFOIL_REDACT", "off")
        canaries = Canaries()
        with listening(db):
            for scenario in SCENARIOS:
                scenario(canaries, db)
        (tapes,) = (data for name, data in files_of(db).items() if name.endswith(".tape"))
        found = {place for place, _ in canaries.found_in(tapes)}
        assert canaries.places - found == NEVER_RECORDED

    def test_users_take_out_more_with_rules_and_functions_of_their_own(self, db):
        def without_names(text):
            return text.replace("Ada Njoroge", "[a customer]")

        rules = [Rule("customer", r"C-\d{3}", ("C-",)), without_names]
        with (
            listening(db, redactors=rules),
            Endpoint(lambda request: Reply(f"Noted: {request.user}")) as endpoint,
        ):
            assert model(endpoint).call("C-204 is Ada Njoroge") == "Noted: C-204 is Ada Njoroge"
        assert not any(word in data for data in files_of(db).values() for word in (b"C-204", b"Njoroge"))
        with counterfoil.open(db) as store:
            (found,) = store.llm_calls()
            said = store.messages(found)
        assert said.output[0]["parts"][0]["content"] == "Noted: [redacted:customer] is [a customer]"


class TestMetadata:
    @pytest.mark.parametrize("scenario", SCENARIOS)
    def test_no_content_at_all_is_on_the_disk(self, db, scenario):
        words = PlainWords()
        with listening(db, capture="metadata"):
            scenario(words, db)
        with counterfoil.open(db) as store:
            found = {place for data in files_of(db).values() for place, _ in words.found_in(data)}
            assert found <= NAMES
            assert words.places & NAMES <= found
            steps = store.sql(
                "SELECT count(*), count(input), count(output), count(error_message) FROM steps"
            )[1]
            assert steps[0][0] > 0
            assert steps[0][1:] == (0, 0, 0)
            assert store.sql("SELECT count(*) FROM messages")[1] == [(0,)]

    def test_names_tokens_and_statuses_remain(self, db):
        words = PlainWords()
        with listening(db, capture="metadata"):
            model_that_streams(words, db)
        with counterfoil.open(db) as store:
            run = store.runs()[-1]
            calls, tools = store.llm_calls(run), store.tool_calls(run)
        assert (run.status, run.agent_names) == ("ok", ["reader"])
        assert [one.request_model for one in calls] == ["gpt-4.1-mini"] * 2
        assert [(one.tool, one.agent, one.decided_by) for one in tools] == [
            ("search", "reader", calls[0].step_id)
        ]
