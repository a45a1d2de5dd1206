"""The same meaning in every framework: each scenario's one expectation holds in each, and the page says so."""

import pytest

from conformance.cells import play
from conformance.page import PAGE, text, written
from conformance.scenario import FRAMEWORKS
from conformance.scenarios import SCENARIOS
from counterfoil import guard


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text()


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name.replace(" ", "-"))
def test_a_cell_is_as_the_page_says(scenario, framework, page, tmp_path, monkeypatch):
    monkeypatch.setenv("COUNTERFOIL_DRAIN", "off")
    before = guard.counted()
    cell = play(scenario, framework, tmp_path)
    assert cell.verdict != "differs", cell.told
    assert written(page)[scenario.name, framework] == str(cell)
    assert guard.counted() == before


def test_the_page_has_a_cell_for_each_scenario_and_framework_and_nothing_more(page):
    assert [*written(page)] == [
        (scenario.name, framework) for scenario in SCENARIOS for framework in FRAMEWORKS
    ]


def test_no_word_of_the_page_was_written_by_hand(page):
    from conformance.cells import Cell

    cells = {
        place: Cell(verdict, told)
        for place, (verdict, _, told) in (
            (place, cell.partition(": ")) for place, cell in written(page).items()
        )
    }
    assert text(cells) == page


def test_only_what_no_framework_can_do_is_called_impossible():
    found = {(one.name, framework) for one in SCENARIOS for framework in one.impossible}
    assert found == {
        ("transfer", "crewai"),
        ("refused transfer", "crewai"),
        ("refused transfer", "langgraph"),
        ("refused transfer", "autogen"),
        ("two transfers at once", "crewai"),
    }
