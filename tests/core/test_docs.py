"""What the documents say is so: every query runs, every column is explained, every block of README works."""

import ast
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import counterfoil
from counterfoil import events
from counterfoil.events import message, text_part, tool_call_part, tool_response_part
from counterfoil.store.erase import Selection, erase

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SQL = (ROOT / "docs" / "sql.md").read_text()
DESIGN = (ROOT / "docs" / "design.md").read_text()


def table_rows(text):
    """The rows of every table in `text`, as lists of cells; headings and rules left out."""
    lines = [line.strip().strip("|") for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.split(" | ")] for line in lines]
    below_a_rule = [at for at, row in enumerate(rows) if set("".join(row)) <= set("-| ")]
    return [row for at, row in enumerate(rows) if at not in below_a_rule and at + 1 not in below_a_rule]


def names(cell):
    return re.findall(r"`([^`]+)`", cell)


def section(title, page=SQL):
    return re.search(rf"(?ms)^## {title}\n(.*?)(?=^## |\Z)", page)[1]


def documented_views():
    """View > column > (unit, what NULL means)."""
    views = {}
    for name, body in re.findall(r"(?ms)^### `(\w+)`\n(.*?)(?=^### |\Z)", section("Views")):
        columns = views[name] = {}
        for cells, unit, _meaning, null in table_rows(body):
            units = unit.split(", ")
            assert len(units) == len(names(cells)), f"{name}: {cells} has {unit}"
            for column, one in zip(names(cells), units, strict=True):
                assert column not in columns, f"{name}.{column} stands there twice"
                columns[column] = (one, null)
    return views


VIEWS = documented_views()
QUERIES = {
    int(number): (query, names(columns))
    for number, query, columns in re.findall(
        r"(?ms)^### (\d+)\. .*?```sql\n(.*?)```\n\nColumns: (.*?)(?=\n\n|\Z)", section("Twenty-one queries")
    )
}


def chat(conversation, said, *, calls=(), model="gpt-4o-mini", usage=None, **ending):
    """A model call as an adapter records it: the messages that went in, and what came out."""
    recorder = counterfoil.recorder_at()
    step = recorder.start(
        "llm",
        model,
        framework="python",
        parent=recorder.here(),
        messages=list(conversation),
        offers=[{"type": "function", "name": "find_order"}],
        provider="openai",
        request_model=model,
    )
    conversation.append(message("assistant", [text_part(said), *(tool_call_part(*call) for call in calls)]))
    recorder.end(step, messages=conversation[-1:], usage=usage, model=model, **ending)


def price(nano):
    return {"cost_nano": nano, "price_source": "contract 7"}


@counterfoil.tool(reads="orders")
def find_order(number):
    counterfoil.access("orders", query="by number", items=[counterfoil.Item(number, 0.5, 120)])
    raise KeyError(number)


@counterfoil.agent(version="2", owner="finance")
def billing(question):
    chat(
        [message("user", [text_part(question)])], "Refund it.", usage=counterfoil.Usage(900, 60), **price(300)
    )
    return "Refund it."


@counterfoil.tool
def ask_billing(question):
    return billing(question)


@counterfoil.agent
def followup(ticket):
    with counterfoil.step("gpt-4o-mini", kind="llm", input=ticket) as span:
        span.set(usage=counterfoil.Usage(300, 20), model="gpt-4o-mini", provider="openai", response_id="r-9")
    with counterfoil.step("house-7b", kind="llm", input=ticket) as span:
        span.set(usage=counterfoil.Usage(300, 20), model="house-7b", provider="house")
    with counterfoil.step("tutor", kind="llm", input=ticket) as span:
        span.set(model="tutor", provider="house")


@counterfoil.agent
def triage(ticket):
    talk = [message("system", [text_part("Be kind.")]), message("user", [text_part(ticket)])]
    chat(
        talk,
        "Let me look.",
        calls=[("c1", "find_order", {"number": "A-1"})],
        usage=counterfoil.Usage(1200, 40, 800, 100, 10, 0, {"prompt_tokens": 1200}, "provider"),
        ttft_ns=210_000_000,
        response_id="r-1",
        finish_reason="tool_calls",
        **price(100),
    )
    for _attempt in range(2):
        with pytest.raises(KeyError):
            find_order("A-1")
    talk.append(message("tool", [tool_response_part("c1", "KeyError")]))
    chat(
        talk,
        "Billing must decide.",
        calls=[("c2", "ask_billing", {"question": "charged twice"})],
        usage=counterfoil.Usage(1300, 30),
        cached=True,
    )
    ask_billing("charged twice")
    recorder = counterfoil.recorder_at()
    here = recorder.here()
    recorder.handoff(
        "transfer", target="shipping", step=here, status="refused", refused_by="policy", reason="late"
    )
    recorder.decision(
        here, action="tool", resource="refund", verdict="ask", rule="above-100", reason="120", policy="money",
        policy_version="3", call_id="c2",
    )  # fmt: skip
    question = recorder.ask(here, "May I?", approval=("refund", {"amount": 120}))
    recorder.answered(question, "yes", approval="approved", by="mary", comment="the customer is right")
    counterfoil.handoff("followup", reason="somebody must write")
    return "Refunded."


def work_on_a_ticket():
    with counterfoil.run(
        "ticket 1", task="refund", session="customer-7", labels={"tier": "gold"}, input="I was charged twice"
    ) as span:
        span.set(output=triage("I was charged twice"))
        followup("ticket 1")
        span.score("answered", 1, label="yes", comment="at once")


def pause_and_resume():
    recorder = counterfoil.recorder_at()
    facts = {"framework": "python", "task": "close account", "session": "customer-8"}
    root = recorder.start("agent", "clerk", input="close it", labels={"tier": "gold"}, **facts)
    recorder.end(
        recorder.start("llm", "m", framework="python", parent=root), usage=counterfoil.Usage(5, 5), **price(7)
    )
    recorder.ask(root, "Really?", name="manager", native_id="q1")
    recorder.end(root, "waiting", stop_reason="interrupt")
    again = recorder.start("agent", "clerk", resuming=True, **facts)
    recorder.answers(again, [{"id": "q1", "value": "yes"}])
    recorder.end(
        recorder.start("llm", "m", framework="python", parent=again),
        usage=counterfoil.Usage(5, 5),
        **price(8),
    )
    recorder.end(again, output="closed")


KILLED = """
import os, signal, counterfoil
with counterfoil.run("ticket 2", task="refund"), counterfoil.step("search", kind="retrieval"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def environment(**more):
    path = os.pathsep.join([str(ROOT / "core"), str(ROOT / "integrations")])
    kept = {key: value for key, value in os.environ.items() if not key.startswith("COUNTERFOIL_")}
    return kept | {"PYTHONPATH": path, "COUNTERFOIL_RAISE": "1", "COUNTERFOIL_PLUGINS": ""} | more


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A store of this process, which still has a step open, and of one that was killed."""
    path = str(tmp_path_factory.mktemp("docs") / "counterfoil.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFOIL_DB", path)
        patch.setenv("COUNTERFOIL_RAISE", "1")
        patch.setenv("COUNTERFOIL_PLUGINS", "")
        patch.setenv("COUNTERFOIL_DRAIN", "off")
        work_on_a_ticket()
        pause_and_resume()
        recorder = counterfoil.recorder_at()
        still_open = recorder.start("tool", "import", framework="python", input={"rows": 7})
        child = subprocess.run(
            [sys.executable, "-c", KILLED], env=environment(COUNTERFOIL_DB=path, COUNTERFOIL_DRAIN="off")
        )
        assert child.returncode == -signal.SIGKILL
        with counterfoil.run("ticket 3", task="apology", input="sorry") as erased:
            pass
        assert counterfoil.flush(path)
        erase(path, Selection("run", erased.run_id), by="ada@desk", because="the customer asked")
        yield path
        recorder.end(still_open)


@pytest.fixture
def db(path):
    connection = sqlite3.connect(path)
    yield connection
    connection.close()


@pytest.fixture
def parameters(db):
    run_id, session_id = db.execute("SELECT run_id, session_id FROM runs WHERE name = 'ticket 1'").fetchone()
    tool_step_id, llm_step_id = db.execute(
        "SELECT step_id, decided_by FROM tool_calls WHERE tool = 'ask_billing'"
    ).fetchone()
    return {
        "run_id": run_id,
        "session_id": session_id,
        "tool_step_id": tool_step_id,
        "llm_step_id": llm_step_id,
    }


# -- docs/sql.md: queries


def test_there_are_twenty_one_queries():
    assert sorted(QUERIES) == list(range(1, 22))


@pytest.mark.parametrize("number", QUERIES)
def test_query_gives_rows_with_the_columns_shown(db, parameters, number):
    query, columns = QUERIES[number]
    cursor = db.execute(query, parameters)
    assert [column[0] for column in cursor.description] == columns
    assert cursor.fetchall()


@pytest.mark.parametrize("number", QUERIES)
def test_query_may_be_asked_of_counterfoil_too(path, db, parameters, number):
    query, _ = QUERIES[number]
    with counterfoil.open(path, drain=False) as store:
        columns, rows = store.sql(query, parameters)
    cursor = db.execute(query, parameters)
    assert list(columns) == [column[0] for column in cursor.description]
    assert rows == cursor.fetchall()


@pytest.mark.parametrize("number", QUERIES)
def test_query_reads_views_alone(db, number):
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert not tables & set(re.findall(r"(?:FROM|JOIN|,)\s+(\w+)", QUERIES[number][0]))


@pytest.mark.parametrize(
    ("number", "columns", "rows"),
    [
        # the resumed run's call counts for the same task
        (2, ("task", "tasks", "ok_share", "cost_usd"), {("close account", 1, 1.0, 15e-9)}),
        (3, ("target", "mode", "accepted", "refused", "refused_share"), {
            ("billing", "escalation", 1, 0, 0.0), ("shipping", "transfer", 0, 1, 1.0),
            ("followup", "transfer", 1, 0, 0.0), ("manager", "escalation", 1, 0, 0.0),
        }),
        (4, ("source", "target", "target_type", "status"), {
            ("triage", "billing", "agent", "returned"), ("clerk", "manager", "human", "returned"),
        }),
        (5, ("target", "llm_calls", "input_tokens", "output_tokens", "cost_usd"), {("billing", 1, 900, 60, 300e-9)}),
        (6, ("role", "content"), {("assistant", "Let me look."), ("tool", None), ("assistant", "Billing must decide.")}),
        (7, ("position", "role"), {(0, "system"), (1, "user"), (2, "assistant"), (3, "tool")}),
        (10, ("tool", "calls", "errors", "error_types"), {("find_order", 2, 2, "KeyError")}),
        (11, ("tool", "arguments", "calls"), {("find_order", '{"number":"A-1"}', 2)}),
        (12, ("model", "streamed_calls", "p95_ms"), {("gpt-4o-mini", 1, 210.0)}),
        (13, ("model", "hits", "hit_tokens", "read_tokens"), {("gpt-4o-mini", 1, 1330, 800)}),
        (14, ("model", "unknown_usage_calls", "unpriced_calls"), {("house-7b", 0, 1), ("tutor", 1, 1)}),
        (15, ("query", "items", "item_ids", "bytes"), {("by number", 2, '["A-1"]', 240), (None, 0, "[]", None)}),
        (18, ("status", "name"), {("running", "import"), ("interrupted", "ticket 2"), ("interrupted", "search")}),
        (19, ("label", "value", "tasks"), {("tier", "gold", 2)}),
        (21, ("erased_by", "reason", "what", "events", "texts"), {("ada@desk", "the customer asked", "run", 1, 2)}),
    ],
)  # fmt: skip
def test_query_answers_its_question(db, parameters, number, columns, rows):
    query, shown = QUERIES[number]
    at = [shown.index(column) for column in columns]
    answered = [tuple(row[i] for i in at) for row in db.execute(query, parameters)]
    for row in rows:
        assert any(_same(row, other) for other in answered), answered


def _same(row, other):
    pairs = zip(row, other, strict=True)
    return all(two == pytest.approx(one) if isinstance(one, float) else two == one for one, two in pairs)


def test_each_message_of_a_run_is_said_once(db, parameters):
    query, shown = QUERIES[8]
    said = [row[shown.index("content")] for row in db.execute(query, parameters)]
    assert said[:5] == ["Be kind.", "I was charged twice", "Let me look.", None, "Billing must decide."]


# -- docs/sql.md: views


def test_every_view_is_documented(db):
    assert set(VIEWS) == {
        name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'view'")
    }


@pytest.mark.parametrize("view", VIEWS)
def test_every_column_is_documented(db, view):
    assert set(VIEWS[view]) == {row[1] for row in db.execute(f"PRAGMA table_info({view})")}


def _is_json(value):
    json.loads(value)
    return True


UNITS = {
    "id": lambda value: re.fullmatch(r"[0-9a-f]+(-[0-9a-f]+)*", value),
    "text": lambda value: isinstance(value, str),
    "time": lambda value: re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", value),
    "0/1": lambda value: value in {0, 1},
    "JSON": _is_json,
    **dict.fromkeys(["ns", "nano-USD", "tokens", "count", "bytes"], lambda value: isinstance(value, int)),
    **dict.fromkeys(["ms", "USD", "number"], lambda value: isinstance(value, float)),
}


@pytest.mark.parametrize("view", [view for view in VIEWS if view != "findings"])
def test_every_value_has_its_documented_unit(db, view):
    cursor = db.execute(f"SELECT * FROM {view}")
    columns = [column[0] for column in cursor.description]
    rows = cursor.fetchall()
    assert rows
    for row in rows:
        for column, value in zip(columns, row, strict=True):
            unit, null = VIEWS[view][column]
            if value is None:
                assert null != "never", f"{view}.{column} is NULL"
            else:
                assert UNITS[unit](value), f"{view}.{column} = {value!r} is no {unit}"


def test_every_unit_is_explained():
    explained = {one for row in table_rows(section("Words")) for one in row[0].split(", ")}
    assert {unit for view in VIEWS.values() for unit, _ in view.values()} <= explained


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("steps.kind", events.STEP_KINDS),
        ("steps.status", events.STEP_STATUSES),
        ("handoffs.mode", events.HandoffMode.__args__),
        ("handoffs.status", events.HANDOFF_STATUSES),
        ("approvals.status", events.APPROVAL_STATUSES),
        ("evidence", events.Evidence.__args__),
    ],
)
def test_every_value_of_a_column_is_explained(column, values):
    (said,) = [row[1] for row in table_rows(section("Words")) if row[0] == f"`{column}`"]
    assert set(names(said)) == set(values)


# -- docs/sql.md: OpenTelemetry


def attributes():
    return [(names(row[0])[0], names(row[1])) for row in table_rows(section("OpenTelemetry"))]


@pytest.mark.parametrize(("attribute", "columns"), attributes())
def test_an_attribute_names_columns_that_exist(attribute, columns):
    assert columns
    for column in columns:
        view, _, name = column.partition(".")
        assert name in VIEWS[view], f"{attribute}: {column}"


def test_every_attribute_is_one_of_opentelemetry():
    known = pytest.importorskip(
        "opentelemetry.semconv._incubating.attributes.gen_ai_attributes",
        reason="the extra dev brings OpenTelemetry's names",
    )
    assert {attribute for attribute, _ in attributes()} <= {
        value for value in vars(known).values() if isinstance(value, str)
    }


# -- README.md


def marked_blocks():
    return re.findall(r"(?ms)^<!-- run: (\w+) -->\n```\w+\n(.*?)^```", README)


def test_the_blocks_of_readme_run_in_order(tmp_path):
    said = {}
    for name, block in marked_blocks():
        if name == "sql":
            with sqlite3.connect(tmp_path / "counterfoil.db") as connection:
                said[name] = connection.execute(block).fetchall()
            connection.close()
        else:
            (tmp_path / f"{name}.py").write_text(block)
            done = subprocess.run(
                [sys.executable, f"{name}.py"],
                cwd=tmp_path,
                env=environment(),
                capture_output=True,
                text=True,
            )
            assert (done.returncode, done.stderr) == (0, "")
            said[name] = done.stdout
    assert list(said) == ["plain", "read", "sql"]
    assert said["plain"] == ""
    assert said["read"].splitlines() == [
        "ticket 42 ok 2 None",
        "triage -> billing escalation returned I was charged twice",
    ]
    assert sorted(said["sql"]) == [("billing", "find_order", 1, 0), ("triage", "ask_billing", 1, 0)]


def test_every_variable_that_is_read_is_documented():
    read = set()
    for folder in ("core", "integrations"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                value = node.value if isinstance(node, ast.Constant) else None
                if isinstance(value, str) and re.fullmatch(r"COUNTERFOIL_[A-Z_]+", value):
                    read.add(value)
    listed = [re.match(r"`(\w+)", row[0])[1] for row in table_rows(section("Settings", README))]
    for_contributors = re.findall(r"\bCOUNTERFOIL_[A-Z_]+", (ROOT / "CONTRIBUTING.md").read_text())
    assert len(listed) == len(set(listed))
    assert set(listed) | set(for_contributors) == read


def test_the_test_command_of_readme_is_what_ci_runs():
    (pick,) = re.findall(r"(?m)^command=\$\(.*\)$", (ROOT / ".ci" / "run").read_text())
    picked = subprocess.run(
        ["bash", "-euc", f'{pick}; printf %s "$command"'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (told,) = re.findall(r"(?m)^The tests, and all that they need:\n\n    (.+)$", README)
    assert picked == told


# -- docs/design.md


def test_the_kinds_of_steps_are_those_of_the_event_model():
    (said,) = [row[1] for row in table_rows(DESIGN) if row[0] == "step"]
    assert names(said.partition("Kinds:")[2]) == list(events.STEP_KINDS)
