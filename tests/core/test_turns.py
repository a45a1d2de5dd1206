"""Which model call chose an action (mapping, section 7), and what it gave as its reason."""

import pytest

from counterfoil.events import encode, message, text_part, tool_call_part
from counterfoil.turns import CALLS, SAID_CHARS, Choice, Turn, reason_from


def said(text, *calls):
    parts = [text_part(text)] if text else []
    return [
        encode(
            message("assistant", [*parts, *(tool_call_part(call_id, name, {}) for call_id, name in calls)])
        )
    ]


def test_the_call_id_names_the_model_call_natively():
    turn = Turn()
    turn.add("one", said("I search.", ("c1", "search")))
    turn.add("two", said("Again.", ("c2", "search")))
    assert turn.chose(call_id="c1", tool="search") == Choice("one", "native", "I search.")


def test_without_an_id_the_latest_that_names_the_tool_is_inferred():
    turn = Turn()
    turn.add("one", said(None, (None, "search")))
    turn.add("two", said(None, (None, "search")))
    turn.add("three", said("Nothing."))
    assert turn.chose(call_id="invented", tool="search") == Choice("two", "inferred", None)


def test_an_agent_without_calls_names_its_tool_in_its_text():
    turn = Turn()
    turn.add("one", said("Thought: I look.\nAction: search"))
    turn.add("two", said("I did research."))
    assert turn.chose(tool="search") == Choice("one", "inferred", "Thought: I look.\nAction: search")


def test_else_the_latest_is_guessed():
    turn = Turn()
    turn.add("one", said("First."))
    turn.add("two", said("Second."))
    assert turn.chose(tool="search") == Choice("two", "guessed", "Second.")


def test_where_no_model_was_called_nobody_chose():
    assert Turn().chose(call_id="c1", tool="search") is None


def test_several_texts_beside_a_call_are_one_reason():
    turn = Turn()
    turn.add("one", said("First.") + said("Then.", ("c1", "search")))
    assert turn.chose(call_id="c1").text == "First.\nThen."


def test_a_turn_that_lasts_for_days_remembers_its_latest_calls():
    turn = Turn()
    for number in range(CALLS + 10):
        turn.add(f"{number}", said("x" * (2 * SAID_CHARS), (f"c{number}", "search")))
    assert turn.chose(call_id="c5").evidence == "guessed"
    choice = turn.chose(call_id=f"c{CALLS}")
    assert (choice.step_id, choice.evidence, len(choice.text)) == (f"{CALLS}", "native", SAID_CHARS)


def test_odd_parts_name_no_tool():
    turn = Turn()
    turn.add("one", [b'{"role":"assistant"}', b'{"parts":[{},{"type":"text","content":{"no":"text"}}]}'])
    turn.add("two", [b'{"parts":[{"type":"tool_call","id":5,"name":["list"]}]}'])
    assert turn.chose(call_id="5") == Choice("two", "native", None)


@pytest.mark.parametrize(
    ("arguments", "beside", "reason"),
    [
        ({"reason": "billing", "to": "x"}, "said", "billing"),
        ({"reason": "  ", "task": "refund"}, "said", "refund"),
        ({"task": "refund", "n": 5}, "said", "refund"),
        ({"task": "refund", "to": "billing"}, "said", "task: refund; to: billing"),
        ({"n": 5}, "said", "said"),
        ({}, None, None),
        ("look into it", "said", "look into it"),
        ("", "said", "said"),
        (None, "said", "said"),
        ([1], None, None),
    ],
)
def test_a_handoffs_reason_is_in_its_arguments_else_beside_them(arguments, beside, reason):
    assert reason_from(arguments, beside) == reason
