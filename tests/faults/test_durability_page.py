"""docs/durability.md promises nothing that no test shows."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "durability.md").read_text(encoding="utf-8")
ROWS = re.findall(r"(?m)^\| (.+?) \| .+ \| `(tests/[\w/]+\.py)::(\w+)` \|$", PAGE)


@cache
def defined_in(path):
    """Give the tests that a file defines, and the marks of each."""
    body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    functions = [node for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return {one.name: " ".join(map(ast.unparse, one.decorator_list)) for one in functions}


@pytest.mark.parametrize(("path", "test"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_every_fault_is_shown_by_a_test_that_runs(path, test):
    assert test in defined_in(path)
    assert not re.search(r"mark\.(skip|xfail)", defined_in(path)[test])


def test_every_row_of_the_table_names_its_test():
    faults = re.search(r"(?ms)^## Faults\n(.*?)^## ", PAGE)[1]
    assert len(ROWS) == len(re.findall(r"(?m)^\|", faults)) - 2


def test_every_test_of_a_fault_stands_in_the_table():
    """But for those that show the same once more, from another side."""
    listed = {test for _, _, test in ROWS}
    for file in Path(__file__).parent.glob("test_*.py"):
        if file != Path(__file__) and file.name != "test_kill.py":
            missing = set(defined_in(file.relative_to(ROOT))) - listed
            assert missing <= {
                "test_what_another_hosts_process_goes_on_to_record_is_read_after_this_hosts_has_died"
            }
