"""What agents said is shown, never obeyed."""

import sys
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from counterfoil.cli.escape import hostile, visible, visible_lines


def test_an_ansi_sequence_is_shown_not_sent():
    assert visible("\x1b[2Jgone\x07") == r"\x1b[2Jgone\x07"


def test_a_bidi_override_is_shown():
    assert visible("user\u202etxt.exe") == r"user\u202etxt.exe"


def test_zero_width_and_tag_characters_are_shown():
    assert visible("pay\u200bpal") == r"pay\u200bpal"
    assert visible("a\U000e0041b") == r"a\U000e0041b"


def test_line_ends_stay_on_the_line():
    assert visible("one\ntwo\r\tthree") == r"one\ntwo\r\tthree"


def test_lines_stay_lines_where_they_are_wanted():
    assert visible_lines("one\r\n\ttwo\x1b[0m") == ["one", r"    two\x1b[0m"]


def test_a_lone_carriage_return_cannot_paint_over_its_line():
    assert visible_lines("safe\revil") == [r"safe\revil"]


def test_lone_surrogates_become_printable():
    assert visible("\ud800").encode() == rb"\ud800"


def test_ordinary_text_of_any_script_stays():
    for text in ("Größe", "日本語", "שלום", "❤️", "e\u0301", "[bold]not markup[/bold]", r"C:\new"):
        assert visible(text) == text


def test_marks_stacked_on_one_letter_end_at_three():
    assert visible("a" + "\u0301" * 5) == "a" + "\u0301" * 3 + r"\u0301\u0301"


def test_every_character_of_a_hidden_category_is_escaped():
    left = [
        hex(code)
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} and not hostile(chr(code))
    ]
    assert left == []


@given(st.text(st.characters(codec=None)))
def test_nothing_hostile_is_left_and_it_is_one_line(text):
    shown = visible(text)
    assert not hostile(shown)
    assert len(shown.splitlines()) <= 1
