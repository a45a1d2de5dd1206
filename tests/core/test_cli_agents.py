"""`counterfoil agents`: every agent there ever was, and the graph of who hands work to whom."""

import json
import re
from pathlib import Path

import pytest

from cli_story import invoke, record
from counterfoil.analysis.handed import Edge
from counterfoil.analysis.roster import KnownAgent, roster
from counterfoil.cli.escape import hostile
from counterfoil.recorder import Recorder
from counterfoil.store import read
from made_desk import Desk


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("agents") / "counterfoil.db"
    record(path, "desk", "greet")
    return path


def agents(store, *args, columns=80):
    result = invoke("agents", *args, "--db", store, columns=columns)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout


def test_each_agent_has_its_line(store):
    lines = {line.split()[0]: line.split()[1:] for line in agents(store).splitlines()}
    assert lines["AGENT"] == [
        "FW",
        "VER",
        "OWNER",
        "MODEL",
        "TL",
        "RUNS",
        "STEPS",
        "COST",
        "ERR",
        "SEEN",
        "HANDS",
        "TO",
    ]
    assert lines["triage"][:3] == ["python", "2", "support"]
    assert lines["triage"][-1] == "billing,…"
    assert lines["billing"][2:8] == ["1", "1", "4", "≥", "$0.00047", "1"]


def test_a_wide_screen_names_tools_and_models(store):
    (line,) = (line for line in agents(store, columns=160).splitlines() if line.startswith("triage"))
    assert " gpt-4.1-mini " in line
    assert " search_policy " in line


def test_json_has_all_of_it(store):
    found = {one["agent"]: one for one in json.loads(agents(store, "--json"))}
    triage = found["triage"]
    assert (triage["tools"], triage["models"], triage["runs"], triage["internal"]) == (
        ["search_policy"],
        ["gpt-4.1-mini"],
        1,
        False,
    )
    assert [(one["target"], one["mode"], one["count"]) for one in triage["hands_to"]] == [
        ("billing", "escalation", 1),
        ("follow_up", "transfer", 1),
    ]
    assert found["billing"]["unpriced_calls"] == 1


@pytest.mark.parametrize(("command", "kind"), [("agents", KnownAgent), ("handoffs", Edge)])
def test_the_page_names_every_key(command, kind):
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    section = re.search(rf"(?ms)^## {command}\n(.*?)(?=^## )", page)[1]
    assert re.findall(r"(?m)^\| `(\w+)` \|", section.split("| key | |")[1]) == list(kind.__struct_fields__)


@pytest.mark.parametrize("stories", [("desk", "greet"), ("hostile",), ("unknown", "desk")])
def test_it_agrees_with_the_view(tmp_path, stories):
    record(tmp_path / "x.db", *stories)
    assert_agreeing(tmp_path / "x.db")


def test_it_agrees_with_the_view_where_one_run_has_several_frameworks(tmp_path):
    desk = Desk(tmp_path / "x.db")
    desk.ticket("refund", asks=True, framework="crewai", version="1")
    desk.ticket("refund", asks=True, framework="langchain", version="2")
    recorder = Recorder(str(tmp_path / "x.db"))
    root = recorder.start("workflow", "both", framework="python")
    for framework in ("langchain", "crewai"):
        recorder.end(recorder.start("agent", "triage", framework=framework, parent=root, version="3"))
    recorder.end(root)
    recorder.close()
    desk.drained()
    assert_agreeing(tmp_path / "x.db")


def assert_agreeing(path):
    with read.open(path) as store:
        mine = {(one.agent, one.framework): one for one in roster(store)}
        theirs = {(one.agent, one.framework): one for one in store.agents()}
    assert mine.keys() == theirs.keys()
    for key, one in mine.items():
        other = theirs[key]
        assert [*one.tools] == other.tools
        assert other.model in (one.models or (None,))
        for name in (
            "version",
            "owner",
            "internal",
            "runs",
            "steps",
            "cost_nano",
            "errors",
            "first_seen_ns",
            "last_seen_ns",
        ):
            assert getattr(one, name) == getattr(other, name), (key, name)


def test_graph_as_mermaid(store):
    assert agents(store, "--graph", "mermaid").splitlines() == [
        "flowchart LR",
        '  a0["greeter"]',
        '  a1["follow_up"]',
        '  a2["triage"]',
        '  a3["billing"]',
        '  a2 -->|"escalation 1"| a3',
        '  a2 -->|"transfer 1"| a1',
    ]


def test_graph_for_graphviz(store):
    lines = agents(store, "--graph", "dot").splitlines()
    assert (lines[0], lines[-1]) == ("digraph agents {", "}")
    assert '  "triage" -> "billing" [label="escalation 1"];' in lines
    assert '  "greeter";' in lines


def test_graph_as_text(store):
    lines = agents(store, "--graph", "text").splitlines()
    at = lines.index("triage")
    assert lines[at : at + 3] == ["triage", "├─ billing  escalation 1", "└─ follow_up  transfer 1"]


@pytest.mark.parametrize("args", [(), ("--graph", "text"), ("--graph", "mermaid"), ("--graph", "dot")])
def test_names_cannot_steer_the_terminal_or_the_graph(tmp_path, args):
    record(tmp_path / "h.db", "hostile")
    shown = agents(tmp_path / "h.db", *args, columns=None)
    assert not any(hostile(line) for line in shown.splitlines())


def test_quotes_do_not_end_a_label(tmp_path):
    recorder = Recorder(str(tmp_path / "x.db"))
    step = recorder.start("agent", 'a "b" #c;\\', framework="python")
    recorder.handoff("route", target="<d>", step=step)
    recorder.end(step)
    recorder.close()
    assert '  a0["a #quot;b#quot; #35;c#59;\\"]' in agents(tmp_path / "x.db", "--graph", "mermaid")
    assert '  a0 -.->|"route 1, 1 abandoned"| a1' in agents(tmp_path / "x.db", "--graph", "mermaid")
    assert r'  "a \"b\" #c;\\" -> "<d>"' in agents(tmp_path / "x.db", "--graph", "dot")


def test_a_store_without_agents_says_so(tmp_path):
    record(tmp_path / "b.db", "bare")
    assert agents(tmp_path / "b.db") == "No agents have been recorded.\n"
    assert json.loads(agents(tmp_path / "b.db", "--json")) == []


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (
            ("--graph", "oval"),
            "counterfoil: Invalid value for '--graph': 'oval' is not one of 'mermaid', 'dot', 'text'. ",
        ),
        (("--graph", "dot", "--json"), "counterfoil: Give --graph or --json, not both. "),
    ],
)
def test_a_mistake_is_one_sentence(store, args, sentence):
    result = invoke("agents", *args, "--db", store)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(sentence)
    assert len(result.stderr.splitlines()) == 1
