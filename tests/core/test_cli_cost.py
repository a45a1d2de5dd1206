"""`counterfoil cost`: what model calls cost."""

import json

import pytest

from cli_story import invoke, record


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("cost") / "counterfoil.db"
    record(path, "desk", "greet", "unknown")
    return path


def cost(store, *args, **more):
    result = invoke("cost", "--db", store, *args, **more)
    assert result.exit_code == 0, result.output
    return result.stdout


def parts(store, by):
    return {part["key"]: part for part in json.loads(cost(store, "--by", by, "--json"))["parts"]}


def test_the_total_is_at_least_what_is_priced(store):
    assert cost(store).splitlines()[1].split() == ["total", "6", "≥3.6k", "≥280", "≥", "$0.0012", "2"]


def test_the_parts_add_up_to_the_total(store):
    shown = json.loads(cost(store, "--by", "agent", "--json"))
    assert shown["by"] == "agent"
    assert {part["key"] for part in shown["parts"]} == {"triage", "billing", "follow_up", "greeter", "silent"}
    for column in (
        "calls",
        "input_tokens",
        "output_tokens",
        "cost_nano",
        "unpriced_calls",
        "unknown_usage_calls",
    ):
        assert sum(part[column] or 0 for part in shown["parts"]) == shown["total"][column]


def test_a_model_without_a_price_costs_a_question_mark(store):
    lines = cost(store, "--by", "model").splitlines()
    assert next(line for line in lines if line.startswith("model-without-price")).split()[-2:] == ["?", "1"]
    assert parts(store, "model")["model-without-price"]["cost_usd"] is None


@pytest.mark.parametrize("by", ["agent", "model", "provider", "framework", "run", "task", "session", "day"])
def test_every_key_gives_parts(store, by):
    assert parts(store, by)
    assert by.upper() in cost(store, "--by", by)


def test_one_run_alone(store):
    assert json.loads(cost(store, "--run", "last", "--json"))["total"]["calls"] == 1


def test_a_key_that_is_none_is_one_sentence_and_exit_code_2(store):
    result = invoke("cost", "--by", "mood", "--db", store)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("counterfoil: Invalid value for '--by': 'mood' is not one of")


def test_a_store_without_model_calls_has_nothing_to_pay(tmp_path):
    record(tmp_path / "c.db", "deep")
    assert cost(tmp_path / "c.db").splitlines()[1].split() == ["total", "0"]
