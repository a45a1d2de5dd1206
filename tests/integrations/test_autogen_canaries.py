"""Secrets in every place of an agent or a team where a string can enter: none is on the disk, in store, WAL or tape."""

import json

import pytest
from autogen_agentchat.agents import CodeExecutorAgent, UserProxyAgent
from autogen_agentchat.base import Handoff
from autogen_agentchat.conditions import HandoffTermination
from autogen_agentchat.messages import HandoffMessage, TextMessage
from autogen_agentchat.teams import DiGraphBuilder, GraphFlow, SelectorGroupChat, Swarm
from autogen_agentchat.tools import AgentTool
from autogen_core.code_executor import CodeExecutor, CodeResult
from autogen_core.memory import ListMemory, MemoryContent
from autogen_core.models import UserMessage
from autogen_core.tools import FunctionTool
from openai import InternalServerError

import counterfoil
import counterfoil_autogen
from autogen_apps import agent, asks, model, replay, team
from canaries import Canaries, PlainWords, files_of
from counterfoil import guard
from support_desk.endpoint import Endpoint, Reply, Request, call

pytestmark = pytest.mark.slow

#: What `capture="metadata"` keeps: names and ids.
NAMES = {"team's name", "run name", "session", "task", "label", "label's key", "memory's name", "item's id"}

#: What is not recorded at all, redacted or not.
NEVER_RECORDED = {"API key", "header", "cause of a tool's exception", "stream that was cut", "description"}


async def agents_over_http(canaries, db):
    """Instructions, task, arguments, results, definitions, what is said beside a call, the client's own settings."""
    heard = {}
    arguments = {
        "body": json.dumps({"config": json.dumps(canaries.fields("JSON in JSON arguments"))}),
        "note": canaries.text("arguments"),
    }
    answers = [
        Reply(canaries.text("text beside a call"), calls=[("unlock", arguments)]),
        Reply(calls=[call("nobody", body=canaries.text("arguments of an unknown tool"))]),
        Reply(calls=[("unlock", '{"no json": "' + canaries.text("invalid arguments"))]),
        Reply(calls=[call("refuse", why=canaries.text("arguments of a tool that fails"))]),
        Reply(canaries.text("answer")),
    ]

    async def unlock(body: str, note: str) -> dict:
        heard.update(body=body, note=note)
        return {"text": canaries.text("tool result"), "fields": canaries.fields("tool result")}

    def refuse(why: str) -> str:
        try:
            raise KeyError(canaries.text("cause of a tool's exception"))
        except KeyError as cause:
            raise LookupError(canaries.text("tool exception")) from cause

    with Endpoint(
        lambda request: answers[len([m for m in request.messages if m["role"] == "tool"])]
    ) as endpoint:
        client = model(
            endpoint, api_key=canaries.bare("API key"), default_headers={"x-api-key": canaries.bare("header")}
        )
        keeper = agent(
            "keeper",
            client,
            FunctionTool(unlock, description=canaries.text("tool description")),
            FunctionTool(refuse, description="refuses"),
            description=canaries.text("description"),
            max_tool_iterations=9,
        )
        keeper._system_messages[0].content = canaries.text("instructions")
        with counterfoil.run(
            canaries.line("run name"),
            db=db,
            task=canaries.line("task"),
            session=canaries.line("session"),
            labels={"tier": canaries.line("label"), canaries.line("label's key"): "x"},
        ):
            done = await team(keeper, name="office " + canaries.line("team's name")).run(
                task=canaries.text("what the team is told")
            )
        await client.close()
        told = "\n".join(_strings([one.messages for one in endpoint.ledger]))
    assert canaries.all_in("instructions", told)
    assert canaries.all_in("JSON in JSON arguments", heard["body"])
    assert canaries.all_in("arguments", heard["note"])
    assert canaries.all_in("answer", done.messages[-1].content)


agents_over_http.recorded = {
    "SELECT content FROM messages WHERE role = 'system'": 1,
    "SELECT input FROM steps WHERE kind = 'agent'": 1,
    "SELECT input FROM steps WHERE kind = 'workflow' AND framework = 'autogen'": 1,
    "SELECT arguments FROM tool_calls": 4,
    "SELECT result FROM tool_calls WHERE tool = 'unlock' AND status = 'ok'": 1,
    "SELECT error_message FROM tool_calls WHERE tool = 'refuse'": 1,
    "SELECT tools FROM llm_calls": 5,
    "SELECT output FROM steps WHERE kind = 'llm'": 5,
    "SELECT session_id FROM runs": 1,
    "SELECT labels FROM runs": 1,
}


async def model_that_streams(canaries, db):
    """Text that comes word by word, tool arguments in pieces; what a cut stream had said."""
    arguments = {"query": canaries.text("streamed arguments")}

    async def look(query: str) -> str:
        return "found"

    def script(request: Request):
        return (
            Reply(canaries.text("streamed answer")) if request.results else Reply(calls=[("look", arguments)])
        )

    with Endpoint(script) as endpoint:
        client = model(endpoint)
        done = await agent("reader", client, look, model_client_stream=True, max_tool_iterations=2).run(
            task="x"
        )
        assert canaries.all_in("streamed answer", done.messages[-1].content)
        await client.close()
    with Endpoint(lambda _: Reply(canaries.text("stream that was cut"), hang_up=40)) as endpoint:
        client = model(endpoint)
        with pytest.raises(Exception, match=r"Connection error|peer closed"):
            _ = [one async for one in client.create_stream([UserMessage(content="x", source="user")])]
        await client.close()


model_that_streams.recorded = {
    "SELECT output FROM steps WHERE kind = 'llm' AND output IS NOT NULL": 2,
    "SELECT arguments FROM tool_calls": 1,
}


async def exceptions(canaries, db):
    """What a server quotes of the request, what a user's selector raises."""

    def quote(request: Request):
        raise RuntimeError(f"cannot answer {request.messages}")

    def choose(thread):
        raise RuntimeError(canaries.text("exception of a selector"))

    with Endpoint(quote) as endpoint:
        client = model(endpoint)
        with pytest.raises(RuntimeError):
            await team(agent("ann", client)).run(task=canaries.text("prompt that a server quotes"))
        with pytest.raises(InternalServerError):
            await agent("ann", client).run(task="x")
        await client.close()
    office = SelectorGroupChat(
        [agent("ann", "1"), agent("bob", "2")], model_client=replay(), selector_func=choose
    )
    with pytest.raises(RuntimeError):
        await office.run(task="x")


exceptions.recorded = {
    "SELECT error_message FROM steps WHERE kind = 'llm' AND error_message LIKE '%[redacted%'": 1,
    "SELECT error_message FROM steps WHERE kind = 'workflow' AND error_message IS NOT NULL": 1,
}


async def handoffs_and_humans(canaries, db):
    """Reasons, tasks of agents behind tools, conditions of edges, questions and answers, code."""
    ann = agent(
        "ann",
        asks(("transfer_to_bob", {}), thought=canaries.text("thought before a handoff")),
        handoffs=[Handoff(target="bob", message=canaries.text("message of a handoff"))],
    )
    bob = agent(
        "bob",
        asks(("transfer_to_user", {})),
        handoffs=[Handoff(target="user", message=canaries.text("question"))],
    )
    swarm = Swarm([ann, bob], termination_condition=HandoffTermination("user"))
    await swarm.run(task="x")
    answer = HandoffMessage(source="user", target="bob", content=canaries.text("answer of a resuming run"))
    await Swarm([agent("bob", "done")], max_turns=1).run(task=answer)
    chosen = replay(f"bob because {canaries.text('reason of a selector')}")
    await SelectorGroupChat([agent("ann", "1"), agent("bob", "2")], model_client=chosen, max_turns=1).run(
        task="x"
    )
    helper = AgentTool(agent("helper", "1"))
    await agent("boss", asks(("helper", {"task": canaries.text("task of a helper")})), helper).run(task="x")
    proxy = UserProxyAgent("proxy", input_func=lambda _: canaries.text("human's answer"))
    await proxy.run(task=canaries.text("human's question"))
    condition = canaries.text("condition of an edge")
    first, second = agent("first", condition), agent("second", "2")
    graph = DiGraphBuilder().add_node(first).add_node(second).add_edge(first, second, condition).build()
    await GraphFlow([first, second], graph=graph).run(task=TextMessage(content="x", source="user"))


handoffs_and_humans.recorded = {
    "SELECT reason FROM handoffs WHERE reason IS NOT NULL": 4,
    "SELECT payload FROM handoffs WHERE target_type = 'human'": 2,
    "SELECT input FROM steps WHERE kind = 'human'": 2,
    "SELECT output FROM steps WHERE kind = 'human' AND output IS NOT NULL": 1,
}


class Pretender(CodeExecutor):
    def __init__(self, output):
        self.output = output

    async def execute_code_blocks(self, code_blocks, cancellation_token):
        return CodeResult(exit_code=0, output=self.output)

    async def start(self): ...
    async def stop(self): ...
    async def restart(self): ...


async def memory_and_code(canaries, db):
    """What is remembered; code, its output, and what a human says of it."""
    from autogen_agentchat.agents import ApprovalResponse

    notes = ListMemory("notes " + canaries.line("memory's name"))
    content = canaries.text("memory")
    await notes.add(
        MemoryContent(content=content, mime_type="text/plain", metadata={"id": canaries.line("item's id")})
    )
    await agent("clerk", "done", memory=[notes]).run(task="x")

    def approve(request):
        return ApprovalResponse(approved=True, reason=canaries.text("reason of an approval"))

    runner = CodeExecutorAgent("runner", Pretender(canaries.text("output of code")), approval_func=approve)
    await runner.run(task=f"```python\n# {canaries.line('code')}\n```")


memory_and_code.recorded = {
    "SELECT source || item_id FROM accesses": 1,
    "SELECT output FROM steps WHERE kind = 'memory'": 1,
    "SELECT arguments || result FROM tool_calls": 1,
    "SELECT arguments || comment FROM approvals": 1,
}

SCENARIOS = [agents_over_http, model_that_streams, exceptions, handoffs_and_humans, memory_and_code]


@pytest.fixture
def db(tmp_path, monkeypatch):
    path = tmp_path / "store" / "counterfoil.db"
    path.parent.mkdir()
    monkeypatch.setenv("COUNTERFOIL_DRAIN", "off")
    before = guard.counted()
    yield path
    counterfoil_autogen.uninstall()
    assert guard.counted() == before


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


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_no_secret_is_on_the_disk_and_a_mark_is_where_it_was(db, scenario):
    canaries = Canaries()
    counterfoil_autogen.install(db, quiet=True)
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


async def test_the_search_finds_them_where_nothing_is_taken_out(db, monkeypatch):
    monkeypatch.setenv("COUNTERFOIL_REDACT", "off")
    canaries = Canaries()
    counterfoil_autogen.install(db, quiet=True)
    for scenario in SCENARIOS:
        await scenario(canaries, db)
    found = {
        place
        for name, data in files_of(db).items()
        if name.endswith(".tape")
        for place, _ in canaries.found_in(data)
    }
    assert canaries.places - found == NEVER_RECORDED


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_metadata_alone_holds_no_word_of_what_was_said(db, scenario):
    words = PlainWords()
    counterfoil_autogen.install(db, quiet=True, capture="metadata")
    await scenario(words, db)
    with counterfoil.open(db):
        pass
    assert {place for found in leaks(words, db).values() for place, _ in found} <= NAMES
