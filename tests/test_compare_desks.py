"""The same ticket in four frameworks: compared, the runs are one and the same work."""

import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest

import counterfoil
from cli_story import environment, invoke
from counterfoil.analysis import compare

RUN = Path(__file__).parents[1] / "examples" / "support_desk" / "run.py"
FRAMEWORKS = ("langchain", "crewai", "llama_index", "autogen")
TICKETS = (1, 2, 3, 4)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """What the four desks recorded of all tickets."""
    folder = tmp_path_factory.mktemp("desks")
    subprocess.run(
        [sys.executable, str(RUN), "--ticket", "all", "--db", str(folder / "x.db")],
        check=True,
        capture_output=True,
        cwd=folder,
        env=environment(
            CREWAI_STORAGE_DIR=str(folder), CREWAI_DISABLE_TELEMETRY="true", OTEL_SDK_DISABLED="true"
        ),
        timeout=300,
    )
    with counterfoil.open(folder / "x.db") as opened:
        yield opened


@pytest.fixture(scope="module")
def desks(store):
    """The runs, by ticket and framework; a desk works on one ticket after the other."""
    found = {}
    for framework in FRAMEWORKS:
        runs = sorted(store.runs(framework=framework), key=lambda run: run.started_ns)
        found |= {(ticket, framework): run for ticket, run in zip(TICKETS, runs, strict=True)}
    return found


@pytest.mark.parametrize("ticket", TICKETS)
@pytest.mark.parametrize(("one", "other"), [*combinations(FRAMEWORKS, 2)])
def test_two_frameworks_did_the_same_for_a_ticket(store, desks, ticket, one, other):
    pair = compare.runs(store, desks[ticket, one], desks[ticket, other])
    assert {row.relation for row in pair.rows} == {"same"}, pair.parting
    assert pair.parting[0].startswith("They did the same, from the first to the last of ")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_two_tickets_part_where_triage_searches_for_something_else(store, desks, framework):
    pair = compare.runs(store, desks[1, framework], desks[2, "langchain"])
    assert pair.parting == (
        "They did the same up to here: triage began.",
        (
            'Then in A triage called search_billing(query="charge appears twice for one invoice"), '
            'in B triage called search_policy(query="warranty limescale").'
        ),
    )


def test_the_screen_says_so(store, desks):
    ids = [desks[1, name].run_id for name in ("langchain", "crewai")]
    said = invoke("compare", *ids, "--db", store.path, env={"COLUMNS": "80"}).stdout
    assert "They did the same, from the first to the last of 13 steps and handoffs" in said
    assert max(map(len, said.splitlines())) <= 80
