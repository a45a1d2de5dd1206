"""docs/redaction.md says what the default rules take out, and what they do not."""

import json
import re
from pathlib import Path

import pytest

from counterfoil.redact import DEFAULT_RULES, build

PAGE = (Path(__file__).parents[2] / "docs" / "redaction.md").read_text()
REDACT = build(DEFAULT_RULES)


def rows(title):
    table = PAGE.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")][2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in lines]


def redacted(text):
    return json.loads(REDACT(json.dumps(text).encode()))


@pytest.mark.parametrize(("rule", "example", "becomes"), rows("Taken out"))
def test_an_example_of_each_rule_is_taken_out(rule, example, becomes):
    assert redacted(f"see {example} there") == f"see {becomes} there"
    assert f"[redacted:{rule}]" in becomes


def test_every_rule_has_its_example():
    assert {row[0] for row in rows("Taken out")} == {rule.name for rule in DEFAULT_RULES}


@pytest.mark.parametrize(("example", "why"), rows("Not recognised"))
def test_what_is_said_not_to_be_recognised_is_not(example, why):
    left = redacted(f"see {example} there")
    assert re.sub(r"\[redacted:[a-z-]+\]", "correct", left) == f"see {example} there"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("docker run -u 1000:1000 image", "docker run -u 1000:1000 image"),
        ("curl -u 'dana:hunter 2' x", "curl -u 'dana:[redacted:user-password]' x"),
        ('curl -u "dana:hunter 2" x', 'curl -u "dana:[redacted:user-password]" x'),
        ("curl --user=dana:hunter2 x", "curl --user=dana:[redacted:user-password] x"),
        ('sh -c "curl -u \\"dana:hunter2\\" x"', 'sh -c "curl -u \\"dana:[redacted:user-password]\\" x"'),
        ("python -u main.py: it prints", "python -u main.py: it prints"),
    ],
)
def test_the_password_of_a_user_option_is_taken_out(text, left):
    assert redacted(text) == left
