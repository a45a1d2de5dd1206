"""A payload of any kind becomes JSON: bounded, marked where it had to be, and never an exception."""

import base64
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import threading
import types
import uuid
from typing import ClassVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.snapshot import (
    LIMIT_BYTES,
    LIMIT_CHARS,
    LIMIT_DEPTH,
    LIMIT_NODES,
    LIMIT_REPR,
    LIMIT_TOTAL,
    Pieces,
    Taken,
    count_of,
    model_fields,
    number_of,
    snapshot,
    text_of,
)


def taken(value):
    return json.loads(snapshot(value))


class Raising:
    """Whatever it is asked, it raises."""

    def __repr__(self):
        raise ValueError("no")

    __str__ = __repr__


class Unbound:
    """A proxy outside of its context, as werkzeug's and Django's are."""

    @property
    def __class__(self):
        raise RuntimeError("working outside of request context")

    def __getattr__(self, name):
        raise RuntimeError("working outside of request context")


class Model:
    """What pydantic's models are like."""

    __pydantic_extra__: ClassVar = {"extra": 1}

    def __init__(self, **fields):
        self.__dict__.update(fields)

    def model_dump(self):
        raise AssertionError("the host's serializers are not ours to run")


class Colour(enum.Enum):
    RED = "red"


class Word(str, enum.Enum):  # noqa: UP042  # the older way, whose str() is not its value
    YES = "yes"


class Name(str):
    __slots__ = ()

    def __str__(self):
        raise ValueError("no")


@dataclasses.dataclass
class Point:
    x: int
    y: object = None
    kind: ClassVar[str] = "point"


class Order(msgspec.Struct):
    total: float
    lines: list


def test_a_model_s_fields_are_told_as_they_are_without_those_that_it_leaves_out():
    class Account(Model):
        model_fields: ClassVar = {
            "owner": types.SimpleNamespace(exclude=None),
            "key": types.SimpleNamespace(exclude=True),
        }

    owner = object()
    assert model_fields(Account(owner=owner, key="k")) == [("owner", owner)]
    assert model_fields(Point(1)) is None


def test_what_json_knows_stays_as_it_is():
    value = {"a": [1, 2.5, True, None, "ü"], "b": {"c": ()}}
    assert taken(value) == {"a": [1, 2.5, True, None, "ü"], "b": {"c": []}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"abc", {"$bytes": 3, "base64": base64.b64encode(b"abc").decode()}),
        (bytearray(b"abc"), {"$bytes": 3, "base64": "YWJj"}),
        (memoryview(b"abcd").cast("I"), {"$bytes": 4, "base64": "YWJjZA=="}),
        (math.nan, {"$float": "nan"}),
        (-math.inf, {"$float": "-inf"}),
        (2**64, {"$int": hex(2**64)}),
        (2**64 - 1, 2**64 - 1),
        (10**5000, {"$int": f"{hex(10**5000)[:2000]}[cut: 2000 of {len(hex(10**5000))} characters]"}),
        ({3, 1, 2}, {"$set": [1, 2, 3]}),
        (frozenset({"b", "a"}), {"$set": ["a", "b"]}),
        (Colour.RED, "red"),
        (Word.YES, "yes"),
        (dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.UTC), "2024-01-02T03:04:05Z"),
        (uuid.UUID(int=5), str(uuid.UUID(int=5))),
        (decimal.Decimal("1.50"), "1.50"),
        (Point(1, Point(2)), {"x": 1, "y": {"x": 2, "y": None}}),
        (Order(math.nan, [b"x"]), {"total": {"$float": "nan"}, "lines": [{"$bytes": 1, "base64": "eA=="}]}),
        (Model(a=1, b={2}), {"a": 1, "b": {"$set": [2]}, "extra": 1}),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (
            collections.OrderedDict(a=collections.deque([1])),
            {"a": {"$object": "collections.deque", "repr": "deque([1])"}},
        ),
        (Name("ada"), "ada"),
        (True, True),
        (range(3), {"$object": "builtins.range", "repr": "range(0, 3)"}),
        (Point, {"$object": "builtins.type", "repr": repr(Point)}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_does_not_know_is_marked(value, expected):
    assert taken(value) == expected


def test_an_object_whose_repr_raises_is_named():
    assert taken([Raising()]) == [
        {"$object": f"{__name__}.Raising", "repr": "<repr() raised builtins.ValueError>"}
    ]


def test_a_proxy_that_raises_at_every_question_costs_no_other_value():
    assert taken([1, Unbound(), 2])[::2] == [1, 2]


def test_a_mapping_that_raises_is_named_beside_the_rest():
    class Broken(dict):
        def items(self):
            raise RuntimeError

    assert taken({"a": Broken(x=math.nan), "b": 2}) == {
        "a": {"$object": f"{__name__}.{Broken.__qualname__}", "error": "builtins.RuntimeError"},
        "b": 2,
    }


def test_keys_become_strings_and_none_is_lost():
    class Key:
        __hash__ = object.__hash__

        def __repr__(self):
            raise ValueError

    odd = {1: "a", "1": "b", None: "c", (1, 2): "d", b"k": "e", Key(): "f", Key(): "g", 2.5: "h"}
    result = taken(odd)
    assert sorted(result.values()) == list("abcdefgh")
    assert result["1"] == "a"
    assert {"None", "(1, 2)", "b'k'", "2.5"} < result.keys()


def test_lone_surrogates_are_written_as_escapes():
    assert taken("a\ud800b") == r"a\ud800b"
    assert taken({"\udfff": ["\ud800"]}) == {r"\udfff": [r"\ud800"]}


# -- bounds


def test_a_string_of_fifty_million_characters_is_cut_and_says_so():
    result = taken({"text": "x" * 50_000_000})["text"]
    assert result.startswith("x" * LIMIT_CHARS)
    assert result.endswith(f"[cut: {LIMIT_CHARS} of 50000000 characters]")
    assert len(result) < LIMIT_CHARS + 100


def test_all_strings_together_are_bounded():
    assert len(snapshot(["y" * 100_000] * 500)) < LIMIT_TOTAL + 500 * 100


def test_a_payload_within_the_bounds_is_whole():
    value = ["y" * 100_000] * 10
    assert taken(value) == value


def test_bytes_are_cut_and_all_of_them_together_are_bounded():
    (first, *_) = result = taken([b"z" * 200_000] * 1000)
    assert first["$bytes"] == 200_000
    assert len(base64.b64decode(first["base64"])) == LIMIT_BYTES
    assert len(json.dumps(result)) < 2 * LIMIT_TOTAL


def test_long_keys_are_cut():
    (key,) = taken({"k" * 10_000_000: 1})
    assert len(key) < LIMIT_REPR + 100


def test_a_long_repr_is_cut():
    class Wordy:
        def __repr__(self):
            return "w" * 10_000_000

    assert len(taken(Wordy())["repr"]) < LIMIT_REPR + 100


def test_a_list_of_a_million_values_is_cut_and_says_so():
    result = taken(list(range(1_000_000)))
    assert len(result) == LIMIT_NODES
    assert result[:3] == [0, 1, 2]
    assert result[-1] == {"$cut": "too many values"}


def test_a_small_value_that_is_shared_a_billion_times_is_cut():
    value = ["x"]
    for _ in range(30):
        value = [value, value]
    assert len(snapshot(value)) < 50 * LIMIT_NODES


def test_an_endless_mapping_is_cut():
    class Endless(collections.abc.Mapping):
        def __getitem__(self, key):
            return key

        def __len__(self):
            return 1

        def __iter__(self):
            number = 0
            while True:
                yield (number := number + 1)

    assert {"1": 1, "2": 2}.items() < taken(Endless()).items()


def test_a_cycle_is_named():
    value = {"a": []}
    value["a"].append(value)
    assert taken(value) == {"a": [{"$cycle": "builtins.dict"}]}


def test_a_value_that_stands_twice_is_no_cycle():
    twice = {1}
    assert taken([twice, twice]) == [{"$set": [1]}, {"$set": [1]}]


def test_deep_nesting_is_cut():
    value = []
    for _ in range(100_000):
        value = [value]
    result = taken(value)
    for _ in range(LIMIT_DEPTH + 1):
        (result,) = result
    assert result == {"$cut": "too deep"}


def test_deep_in_the_hosts_own_recursion_nothing_is_raised():
    def recurse():
        try:
            recurse()
        finally:
            snapshot({"a": [{1}]})

    with pytest.raises(RecursionError):
        recurse()


@pytest.mark.slow
def test_a_dict_that_another_thread_changes_is_taken_all_the_same():
    changing = {str(number): {number} for number in range(300)}
    stop = threading.Event()

    def change():
        number = 0
        while not stop.is_set():
            number += 1
            changing[f"new {number % 50}"] = 1
            changing.pop(f"new {(number - 25) % 50}", None)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(200):
            assert taken(changing)["7"] == {"$set": [7]}
    finally:
        stop.set()
        thread.join()


def test_nothing_of_the_hosts_is_kept():
    value = {"a": [1]}
    before = snapshot(value)
    value["a"].append(2)
    assert json.loads(before) == {"a": [1]}


def test_a_generator_is_not_consumed():
    generator = (one for one in [1, 2])
    taken(generator)
    assert list(generator) == [1, 2]


# -- what is taken already, and in pieces


def test_json_that_was_taken_is_taken_as_it_is():
    assert snapshot(Taken(b'{"a":1}')) == b'{"a":1}'


def test_pieces_are_taken_one_by_one():
    pieces = Pieces()
    changing = {"n": 1}
    pieces.add(changing)
    changing["n"] = 2
    pieces.add(changing)
    assert json.loads(pieces.taken()) == [{"n": 1}, {"n": 2}]


def test_an_endless_stream_of_pieces_is_bounded_and_says_so():
    pieces = Pieces()
    for _ in range(30):
        pieces.add("x" * 100_000)
    *_, last = result = json.loads(pieces.taken())
    assert len(pieces.taken()) < LIMIT_TOTAL + 200_000
    assert last == {"$cut": f"{len(result) - 1} of 30 pieces"}


# -- texts and numbers


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", "a"),
        (5, "5"),
        (None, "None"),
        (Name("ada"), "ada"),
        ("\ud800", r"\ud800"),
        (ValueError("wrong"), "wrong"),
    ],
)
def test_a_text_is_what_the_value_says(value, expected):
    assert text_of(value) == expected
    assert type(text_of(value)) is str


def test_a_text_whose_value_raises_says_so():
    assert text_of(Raising()) == f"<{__name__}.Raising: str() raised builtins.ValueError>"


def test_a_text_is_cut_where_it_is_asked():
    assert text_of("abcdef", 3) == "abc[cut: 3 of 6 characters]"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3),
        (3.0, 3),
        (0, 0),
        (-1, None),
        (True, None),
        ("3", None),
        (None, None),
        (math.nan, None),
        (2**63, None),
    ],
)
def test_a_count_is_a_whole_number_that_the_store_can_hold(value, expected):
    assert count_of(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.5, 0.5), (1, 1.0), ("0.5", None), (None, None), (math.nan, None), (math.inf, None)],
)
def test_a_number_is_a_finite_float(value, expected):
    assert number_of(value) == expected


# -- anything at all

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(codec=None)),
    st.binary(max_size=50),
    st.datetimes(),
    st.decimals(),
    st.fractions(),
    st.uuids(),
    st.timedeltas(),
    st.sampled_from([Colour.RED, Word.YES, Name("n"), Point, Point(1), ..., NotImplemented]),
    st.builds(Raising),
    st.builds(object),
)
HASHABLE = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(max_size=9), st.uuids()
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.tuples(inner, inner),
        st.dictionaries(HASHABLE, inner, max_size=5),
        st.sets(HASHABLE, max_size=5),
        st.builds(Point, inner, inner),
        st.builds(Order, inner, st.lists(inner, max_size=3)),
        st.builds(lambda value: Model(field=value), inner),
        st.builds(lambda value: collections.UserDict({"key": value}), inner),
    ),
    max_leaves=20,
)


@given(ANYTHING)
def test_anything_becomes_one_line_of_valid_json(value):
    content = snapshot(value)
    json.loads(content.decode(), parse_constant=pytest.fail)
    assert b"\n" not in content
    assert b"\t" not in content
    msgspec.json.decode(content)
