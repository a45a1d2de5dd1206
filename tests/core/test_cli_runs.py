"""`counterfoil runs`: which runs, and what is said of each."""

import json

import pytest
from rich.cells import cell_len

import counterfoil
from cli_story import HOSTILE, hanging, invoke, record


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "counterfoil.db"
    record(path, "desk", "greet", "bare", "unknown")
    return path


def names(store, *args):
    result = invoke("runs", "--db", store, "--json", *args)
    assert result.exit_code == 0, result.output
    return [run["name"] for run in json.loads(result.stdout)]


def row(store, name, *args, columns=None):
    result = invoke("runs", "--db", store, *args, columns=columns)
    assert result.exit_code == 0, result.output
    return next(line for line in result.stdout.splitlines() if name in line)


def test_the_newest_come_first_and_bare_calls_are_hidden(store):
    assert names(store) == ["silent", "greeter", "support desk"]


def test_all_shows_bare_model_calls_too(store):
    assert names(store, "--all") == ["silent", "chat", "greeter", "support desk"]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--agent", "billing"], ["support desk"]),
        (["--framework", "python"], ["silent", "greeter", "support desk"]),
        (["--framework", "langchain"], []),
        (["--task", "greet"], ["greeter"]),
        (["--session", "ticket-1"], ["support desk"]),
        (["--status", "ok"], ["silent", "greeter", "support desk"]),
        (["--status", "error"], []),
        (["--label", "region=eu"], ["greeter", "support desk"]),
        (["--label", "region=eu", "--label", "tier=gold"], ["support desk"]),
        (["--label", "region=eu", "--label", "tier=tin"], []),
        (["--since", "1h"], ["silent", "greeter", "support desk"]),
        (["--until", "1h"], []),
        (["--since", "2100-01-01"], []),
        (["--limit", "1"], ["silent"]),
        (["--label", "region=eu", "--label", "region=eu", "--limit", "1"], ["greeter"]),
    ],
    ids=" ".join,
)
def test_a_filter_leaves_the_runs_that_match(store, options, found):
    assert names(store, *options) == found


def test_a_row_tells_counts_tokens_and_a_cost_that_is_at_least(store):
    cells = row(store, "support desk").split()
    # run, name (2), task, started (2), took, status, agents, llm, tools, handoffs, errors, tokens, cost (2)
    assert cells[3] == "refund"
    assert cells[7:] == ["ok", "3", "4", "2", "2", "1", "3.9k", "≥", "$0.0012"]


def test_a_cost_that_is_known_is_given_as_it_is(store):
    assert row(store, "greeter").endswith(" 15 $0.000012")


def test_unknown_usage_and_cost_are_question_marks_not_zeros(store):
    assert row(store, "silent").split()[-2:] == ["?", "?"]


def test_the_run_column_is_a_prefix_that_show_understands(store):
    short = row(store, "greeter").split()[0]
    assert json.loads(invoke("show", short, "--db", store, "--json").stdout)["run"]["name"] == "greeter"


@pytest.mark.parametrize("columns", [60, 80, 100, 140])
def test_rows_fit_the_screen(store, columns):
    lines = invoke("runs", "--all", "--db", store, columns=columns).stdout.splitlines()
    assert len(lines) == 5
    assert max(map(cell_len, lines)) <= columns


def test_at_eighty_columns_every_column_is_still_there(store):
    heading = invoke("runs", "--db", store, columns=80).stdout.splitlines()[0].split()
    assert heading == [
        "RUN",
        "NAME",
        "TASK",
        "AGE",
        "TOOK",
        "STATUS",
        "AG",
        "LLM",
        "TL",
        "HO",
        "ERR",
        "TOK",
        "COST",
    ]


def test_json_has_the_columns_of_the_view_but_for_payloads(store):
    run = json.loads(invoke("runs", "--db", store, "--json", "--task", "refund").stdout)[0]
    assert run["labels"] == {"tier": "gold", "region": "eu"}
    assert set(run["agent_names"]) == {"triage", "billing", "follow_up"}
    assert (run["llm_calls"], run["unpriced_calls"], run["errors"], run["escalations"]) == (4, 1, 1, 1)
    assert "input" not in run
    assert "output" not in run


def test_what_steers_a_terminal_is_shown_not_sent(tmp_path):
    record(tmp_path / "c.db", "hostile")
    for columns in (None, 80, 200):
        shown = invoke("runs", "--db", tmp_path / "c.db", columns=columns).stdout
        assert not set(shown) & set("\x1b\u202e\u200b")
        assert r"\x1b" in shown
    assert r"\x1b[2Jgone \u202eevil\u200b [bold]x[/bold] :skull:" in shown
    sent = invoke("runs", "--db", tmp_path / "c.db", "--json").stdout
    assert sent.isascii()
    assert json.loads(sent)[0]["task"] == HOSTILE


def test_a_run_under_way_is_running_and_its_time_goes_on(tmp_path):
    with hanging(tmp_path / "c.db"):
        cells = row(tmp_path / "c.db", "hanging").split()
    assert cells[5] == "running"
    assert cells[4] != "?"


def test_no_match_is_said_and_no_failure(store):
    result = invoke("runs", "--db", store, "--agent", "nobody")
    assert (result.exit_code, result.stdout) == (
        0,
        "No runs match. With --all, bare model and tool calls are looked at too.\n",
    )


def test_where_only_bare_calls_are_it_says_how_to_see_them(tmp_path):
    record(tmp_path / "c.db", "bare")
    assert "--all lists them" in invoke("runs", "--db", tmp_path / "c.db").stdout


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--label", "tier"], "'tier' is no label: give KEY=VALUE"),
        (["--since", "yesterday"], "'yesterday' is no time: give 90m, 24h or 7d"),
        (["--status", "great"], "'great' is not one of"),
        (["--limit", "0"], "0 is not in the range"),
        (["--bogus"], "No such option"),
    ],
)
def test_a_mistake_in_an_option_is_one_sentence_and_exit_code_2(store, options, sentence):
    result = invoke("runs", "--db", store, *options)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("counterfoil: ")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_framework_is_named_where_the_list_mixes_several(tmp_path):
    store = tmp_path / "c.db"
    with counterfoil.run("desk", db=store):
        pass
    assert "FRAMEWORK" not in invoke("runs", "--db", store, columns=120).stdout
    recorder = counterfoil.recorder_at(store)
    recorder.end(recorder.start("workflow", "office", framework="crewai"))
    counterfoil.flush(store)
    lines = [line.split() for line in invoke("runs", "--db", store, columns=120).stdout.splitlines()]
    assert [(line[1], line[2]) for line in lines] == [
        ("NAME", "FRAMEWORK"),
        ("office", "crewai"),
        ("desk", "python"),
    ]
