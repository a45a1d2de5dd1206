"""Every trap of a framework that is known has a test: tests/traps.toml holds the list."""

import ast
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIST = tomllib.loads((ROOT / "tests/traps.toml").read_text(encoding="utf-8"))
TRAPS = LIST["trap"]


@cache
def defined_in(path):
    """Give the ids of the tests that a file defines, and which of them never run (`skipif` is for older versions)."""
    found = {}
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        for name, function in _functions(node):
            marks = " ".join(ast.unparse(one) for one in function.decorator_list)
            found[f"{path}::{name}"] = "skip" in marks.replace("skipif", "") or "xfail" in marks
    return found


def _functions(node):
    if isinstance(node, ast.ClassDef):
        for inner in node.body:
            yield from ((f"{node.name}::{name}", function) for name, function in _functions(inner))
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_"):
        yield node.name, node


@pytest.mark.parametrize(
    "trap", TRAPS, ids=lambda trap: f"{trap['framework']} {trap['section']}: {trap['row']}"
)
def test_a_trap_has_a_test_that_runs_or_says_why_not_yet(trap):
    assert ("test" in trap) != ("later" in trap)
    if "test" in trap:
        path = trap["test"].partition("::")[0]
        assert (ROOT / path).is_file()
        assert defined_in(path).get(trap["test"]) is False


def _of(framework, key):
    return (trap[key] for trap in TRAPS if trap["framework"] == framework)


def test_no_row_of_the_list_has_gone():
    rows = {framework: dict(Counter(_of(framework, "section"))) for framework in LIST["rows"]}
    assert rows == LIST["rows"]
    assert {trap["framework"] for trap in TRAPS} == LIST["rows"].keys()


def test_no_row_is_listed_twice():
    counts = Counter((trap["framework"], trap["section"], trap["row"]) for trap in TRAPS)
    assert [row for row, count in counts.items() if count > 1] == []
