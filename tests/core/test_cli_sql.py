"""`counterfoil sql`: any query that reads."""

import csv
import io
import json

import pytest
from rich.cells import cell_len

from cli_story import HOSTILE, invoke, record


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("sql") / "counterfoil.db"
    record(path, "desk", "hostile")
    return path


def sql(store, query, *args, **more):
    result = invoke("sql", query, "--db", store, *args, **more)
    assert result.exit_code == 0, result.output
    return result.stdout


AGENTS = "SELECT agent, steps FROM agents WHERE agent NOT LIKE 'agent%' ORDER BY agent"


def test_rows_come_as_a_table(store):
    assert sql(store, AGENTS) == "agent     steps\nbilling       4\nfollow_up     2\ntriage        3\n"


def test_rows_come_as_json_objects(store):
    assert json.loads(sql(store, AGENTS, "--json"))[0] == {"agent": "billing", "steps": 4}


def test_rows_come_as_csv(store):
    assert sql(store, AGENTS, "--csv") == "agent,steps\nbilling,4\nfollow_up,2\ntriage,3\n"


def test_the_query_comes_from_standard_input(store):
    assert sql(store, "-", input="SELECT 1 AS one") == "one\n  1\n"


def test_columns_of_one_name_are_told_apart_in_json(store):
    assert json.loads(sql(store, "SELECT 1 AS a, 2 AS a, 3 AS a", "--json")) == [{"a": 1, "a:1": 2, "a:2": 3}]


def test_null_and_bytes_have_their_own_look(store):
    assert sql(store, "SELECT NULL AS a, x'00ff' AS b").splitlines()[1] == "NULL x'00ff'"
    assert sql(store, "SELECT NULL AS a, x'00ff' AS b", "--csv").splitlines()[1] == ",00ff"
    assert json.loads(sql(store, "SELECT NULL AS a, x'00ff' AS b", "--json")) == [
        {"a": None, "b": {"$base64": True, "encoded": "AP8="}}
    ]


def test_no_rows_are_a_heading_an_empty_list_and_a_heading(store):
    empty = "SELECT 1 AS a WHERE 0"
    assert (sql(store, empty), sql(store, empty, "--json"), sql(store, empty, "--csv")) == (
        "a\n",
        "[]\n",
        "a\n",
    )


def test_a_table_is_cut_to_the_screen_and_whole_without_one(store):
    query = "SELECT input FROM steps WHERE kind = 'tool' AND input LIKE '%double%'"
    assert max(map(cell_len, sql(store, query, columns=30).splitlines())) <= 30
    assert '{"query":"double charge","limit":5}' in sql(store, query)


def test_text_that_steers_a_terminal_is_shown_in_tables_and_kept_in_data(store):
    query = "SELECT name FROM runs WHERE name LIKE 'run %'"
    assert sql(store, query).splitlines()[1] == r"run \x1b[2Jgone \u202eevil\u200b [bold]x[/bold] :skull:"
    assert json.loads(sql(store, query, "--json"))[0]["name"] == f"run {HOSTILE}"
    assert list(csv.reader(io.StringIO(sql(store, query, "--csv"))))[1] == [f"run {HOSTILE}"]


def test_a_heading_that_steers_a_terminal_is_shown(store):
    assert sql(store, 'SELECT 1 AS "\x1b[2J"').splitlines()[0] == r"\x1b[2J"


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("DELETE FROM t_runs", "only reading is allowed"),
        ("ATTACH 'x.db' AS x", "only reading is allowed"),
        ("PRAGMA journal_mode=DELETE", "only reading is allowed"),
        ("SELEC 1", "syntax error"),
        ("SELECT * FROM nowhere", "no such table: nowhere"),
        ("SELECT 1; SELECT 2", "one statement at a time"),
        ("SELECT ?", "binding"),
        ("", "no query"),
    ],
)
def test_a_query_that_writes_or_is_wrong_is_one_sentence_and_exit_code_1(store, query, sentence):
    result = invoke("sql", query, "--db", store)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("counterfoil: ")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


def test_json_and_csv_together_are_a_mistake(store):
    result = invoke("sql", "SELECT 1", "--json", "--csv", "--db", store)
    assert result.exit_code == 2
    assert "exclude each other" in result.stderr
