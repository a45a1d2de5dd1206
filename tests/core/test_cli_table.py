"""A table fits the screen."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from counterfoil.cli.table import Column, clip, table

COLUMNS = (
    Column("RUN"),
    Column("NAME", cut=True),
    Column("HANDOFFS", "HO", right=True, drop=1),
    Column("TOKENS", "TOK", right=True, drop=2),
    Column("STATUS"),
)


def shown(rows, width, columns=COLUMNS):
    return [line.plain for line in table(columns, [[Text(cell) for cell in row] for row in rows], width)]


def test_with_room_everything_stands_there_whole():
    assert shown([("a1", "support desk", "2", "1.2k", "ok")], None) == [
        "RUN NAME         HANDOFFS TOKENS STATUS",
        "a1  support desk        2   1.2k ok",
    ]


def test_headings_shrink_before_content_is_cut():
    assert shown([("a1", "support desk", "2", "1.2k", "ok")], 36) == [
        "RUN NAME         HO  TOK STATUS",
        "a1  support desk  2 1.2k ok",
    ]


def test_long_text_is_cut_where_it_may_be():
    assert shown([("a1", "support desk", "2", "1.2k", "error")], 28) == [
        "RUN NAME      HO  TOK STATUS",
        "a1  support…   2 1.2k error",
    ]


def test_a_column_that_may_go_is_not_shown_empty_on_a_screen():
    assert shown([("a1", "support desk", "", "1.2k", "ok")], 80) == [
        "RUN NAME         TOKENS STATUS",
        "a1  support desk   1.2k ok",
    ]


def test_what_matters_least_goes_when_cutting_is_not_enough():
    assert shown([("a1", "support desk", "2", "1.2k", "ok")], 23) == [
        "RUN NAME      HO STATUS",
        "a1  support…   2 ok",
    ]


def test_wide_characters_take_two_cells():
    lines = shown([("a1", "日本語", "2", "1", "ok"), ("b2", "abcdef", "2", "1", "ok")], None)
    assert cell_len(lines[1]) == cell_len(lines[2])


def test_no_rows_leave_the_heading():
    assert shown([], None) == ["RUN NAME HANDOFFS TOKENS STATUS"]


def test_text_is_never_markup():
    assert shown([("[red]", "[/]", "", "", "[bold]x")], None)[1] == "[red] [/]                  [bold]x"


@given(
    st.lists(st.tuples(*[st.text(st.characters(categories=("L", "N", "So")), max_size=30)] * 2), max_size=5),
    st.integers(20, 60),
)
def test_no_line_is_wider_than_the_screen(rows, width):
    columns = (Column("A", cut=True), Column("B", cut=True))
    assert all(cell_len(line) <= width for line in shown(rows, width, columns))


@given(st.text(), st.integers(1, 20))
def test_clipped_text_fits(text, width):
    assert cell_len(clip(text, width)) <= width
