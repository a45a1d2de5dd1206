"""Messages by number: each is written once, a conversation grows linearly, and no line refers to what is not there."""

import itertools
import os
import shutil
import threading

import pytest

from counterfoil import conversation, recorder
from counterfoil.conversation import Conversation
from counterfoil.events import message, text_part
from counterfoil.recorder import Recorder
from tape_reading import input_messages, lines, segments

SYSTEM = message("system", [text_part("You help. " * 50)])


@pytest.fixture
def db(tmp_path):
    return tmp_path / "x.db"


@pytest.fixture
def recorded(db):
    made = Recorder(str(db))
    yield made
    made.close()


def user(text):
    return message("user", [text_part(text)])


def assistant(text):
    return message("assistant", [text_part(text)])


def call(recorded, messages, answer=None, **more):
    step = recorded.start("llm", "chat", framework="test", messages=messages, **more)
    recorded.end(step, messages=[answer] if answer is not None else None)
    return step.step_id


def size(db):
    return sum(one.stat().st_size for one in segments(db))


def test_every_message_goes_to_the_tape_once(db, recorded):
    said = [SYSTEM, user("one")]
    call(recorded, said, assistant("two"))
    call(recorded, [*said, assistant("two"), user("three")], assistant("four"))
    bodies = [value for line in lines(db) for name, value in line.parts.items() if name[0] == "m"]
    assert bodies == [SYSTEM, user("one"), assistant("two"), user("three"), assistant("four")]


def test_a_call_is_written_as_what_it_adds_to_the_one_before(db, recorded):
    said = [SYSTEM, user("one"), assistant("two"), user("three")]
    first = call(recorded, said[:2])
    call(recorded, said)
    _, start = lines(db, "start")
    assert (start.head.base, start.head.base_output, start.head.keep) == (first, None, 2)
    assert len(start.head.refs) == 2


def test_a_conversation_of_two_hundred_turns_is_linear_on_tape(db, recorded):
    said, steps, sizes = [SYSTEM], [], [0]
    for turn in range(200):
        said += [user(f"question {turn} " + "?" * 400)]
        answer = assistant(f"answer {turn} " + "!" * 400)
        steps.append((call(recorded, said, answer), list(said)))
        said += [answer]
        sizes.append(size(db))
    grown = [after - before for before, after in itertools.pairwise(sizes[1:])]
    assert max(grown) < min(grown) * 1.1
    assert input_messages(db, steps[0][0]) == steps[0][1]
    assert input_messages(db, steps[120][0]) == steps[120][1]
    assert input_messages(db, steps[-1][0]) == steps[-1][1]


def test_two_agents_that_share_their_task_do_not_write_each_others_list_anew(db, recorded):
    ask = user("the task")
    said = {
        "planner": [message("system", [text_part("plan")]), ask],
        "worker": [message("system", [text_part("work")]), ask],
    }
    refs = []
    for turn in range(30):
        for history in said.values():
            step = call(recorded, history, assistant(f"{turn}"))
            assert input_messages(db, step) == history
            refs.append(len(lines(db, "start")[-1].head.refs))
            history.append(assistant(f"{turn}"))
    assert max(refs) == 2


def test_a_conversation_that_began_with_one_message_is_continued(db, recorded):
    first = call(recorded, [user("one")], assistant("two"))
    step = call(recorded, [user("one"), assistant("two"), user("three")])
    assert lines(db, "start")[-1].head.base == first
    assert input_messages(db, step) == [user("one"), assistant("two"), user("three")]


def test_what_was_said_before_and_is_an_output_now_is_referred_to(db, recorded):
    step = recorded.start("workflow", "graph", framework="test", messages=[user("one")])
    recorded.end(step, messages=[user("one"), assistant("two")])
    (end,) = lines(db, "end")
    assert (end.head.base, end.head.keep) == (step.step_id, 1)
    assert input_messages(db, step.step_id, output=True) == [user("one"), assistant("two")]


def test_a_conversation_that_is_trimmed_is_whole_when_read(db, recorded):
    said = [SYSTEM, *(user(f"{turn}") for turn in range(40))]
    for first in range(1, 30):
        window = [SYSTEM, *said[first : first + 10]]
        step = call(recorded, window)
        assert input_messages(db, step) == window
        assert len(lines(db, "start")[-1].head.refs) <= len(window)


def test_a_message_changed_in_the_middle_keeps_what_stands_before_it(db, recorded):
    said = [SYSTEM, user("one"), assistant("two"), user("three")]
    call(recorded, said)
    edited = [SYSTEM, user("one"), assistant("2"), user("three")]
    step = call(recorded, edited)
    assert lines(db, "start")[-1].head.keep == 2
    assert input_messages(db, step) == edited


def test_an_empty_list_is_no_conversation(db, recorded):
    step = call(recorded, [])
    head = lines(db, "start")[-1].head
    assert (head.base, head.keep, head.refs) == (None, None, ())
    assert input_messages(db, step) == []


def test_tool_definitions_are_written_once_too(db, recorded):
    offers = [{"name": "search", "description": "d" * 1000}, {"name": "send"}]
    call(recorded, [user("one")], offers=offers)
    call(recorded, [user("two")], offers=offers)
    first, second = lines(db, "start")
    assert first.head.offers == second.head.offers != ()
    assert [name for name in second.parts if name[0] == "m"] == [f"m{second.head.refs[0]}"]


def test_a_message_that_is_both_input_and_offer_goes_to_the_line_once(db, recorded):
    call(recorded, [user("one")], offers=[user("one")])
    (start,) = lines(db, "start")
    assert start.head.offers == start.head.refs
    assert list(start.parts) == [f"m{start.head.refs[0]}"]


# -- nothing refers to what was not written


def test_what_the_kernel_did_not_take_is_never_referred_to(db, recorded, monkeypatch):
    call(recorded, [user("one")])
    write = os.write

    def full(fd, data):
        if b"two" in data:
            raise OSError(28, "No space left on device")
        return write(fd, data)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        call(recorded, [user("one"), user("two")])
    step = call(recorded, [user("one"), user("two"), user("three")])
    assert input_messages(db, step) == [user("one"), user("two"), user("three")]


def test_a_new_tape_refers_to_nothing_of_the_old_one(db, recorded):
    said = [SYSTEM, user("one")]
    call(recorded, said)
    recorded.close()
    step = call(recorded, [*said, assistant("two")])
    head = lines(db, "start")[-1].head
    assert (head.base, len(head.refs)) == (None, 3)
    assert input_messages(db, step) == [*said, assistant("two")]


def test_a_tape_that_was_deleted_is_not_referred_to(db, recorded):
    said = [SYSTEM, user("one")]
    call(recorded, said)
    shutil.rmtree(f"{db}.tape")
    recorded._pen.tape._checked_at = -1e9
    step = call(recorded, [*said, assistant("two")])
    assert input_messages(db, step) == [*said, assistant("two")]


def test_a_tape_that_ends_while_a_line_is_made_has_the_line_made_anew(db, recorded, monkeypatch):
    """Numbers belong to a writer: the same number is another message's in the next."""
    call(recorded, [user("zero"), user("one")])
    begin = recorder.Recorder.close
    made = recorded._pen._conversation
    number = type(made).number
    once = [True]

    def closing(self, *args):
        listed = number(self, *args)
        if once and once.pop():
            begin(recorded)
            recorded.end(recorded.start("llm", "other", framework="test", messages=[user("else")]))
        return listed

    monkeypatch.setattr(conversation.Conversation, "number", closing)
    step = call(recorded, [user("zero"), user("one"), user("two")])
    assert input_messages(db, step) == [user("zero"), user("one"), user("two")]


def test_two_threads_in_one_conversation_refer_only_to_what_is_written_before(db, recorded):
    said = [SYSTEM, *(user(f"{turn} " + "x" * 50) for turn in range(60))]
    steps = {}

    def talk(name):
        for turn in range(1, len(said)):
            history = said[: turn + 1]
            steps[name, turn] = (call(recorded, history, assistant(f"{turn}")), history)

    threads = [threading.Thread(target=talk, args=(name,)) for name in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    known = set()
    for line in lines(db):
        known |= {int(name[1:]) for name in line.parts if name[0] == "m"}
        assert known.issuperset(line.head.refs)
    for name, turn in ((0, 1), (0, 59), (1, 30), (1, 59)):
        step, history = steps[name, turn]
        assert input_messages(db, step) == history


# -- memory


def remember(made, messages, step_id):
    fresh = {}
    numbers = made.number(messages, fresh, [], [])
    made.remember(fresh)
    made.remember_list(numbers, step_id, output=False)
    return numbers


def test_what_is_remembered_is_bounded_in_bytes():
    made = Conversation()
    for number in range(3000):
        remember(made, [b"%d" % number + b"x" * 10_000], f"{number}")
    held = sum(len(body) for kept in (made._new, made._old) for body in kept)
    assert held <= conversation.CACHE_BYTES
    assert len(made._lists) <= conversation.LISTS


def test_a_message_in_use_outlives_any_amount_of_others():
    made = Conversation()
    remember(made, [b"system"], "first")
    for number in range(2000):
        assert remember(made, [b"system", b"%d" % number + b"x" * 10_000], f"{number}")[0] == 1
