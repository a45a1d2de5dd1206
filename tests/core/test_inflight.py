"""What an adapter knows of the work under way: native ids, their steps, and ends that come late."""

import gc
import os
import signal
import threading
import weakref

import pytest

import counterfoil
from counterfoil import context, inflight
from counterfoil.inflight import Entry, InFlight, Trackers
from counterfoil.recorder import Recorder


@pytest.fixture
def recorder(tmp_path, monkeypatch):
    monkeypatch.setenv("COUNTERFOIL_RAISE", "1")  # an error of our own is to fail the test
    made = Recorder(str(tmp_path / "x.db"))
    yield made
    made.close()


@pytest.fixture
def finders(monkeypatch):
    """Those that a test registers are forgotten after it."""
    monkeypatch.setattr(context, "_finders", ())


class Work(InFlight):
    """A framework's work, each thing by its name; what was let go of is counted."""

    def __init__(self, recorder=None):
        super().__init__()
        self.recorder = recorder
        self.gone = []

    def begin(self, key, parent=None):
        entry = Entry(key, self.find(parent))
        if self.recorder is not None:
            above = self.parent_step(parent)
            entry.step = self.recorder.start("other", key, framework="test", parent=above)
        self.add(entry)
        return entry

    def end(self, key):
        entry = self.pop(key)
        if entry is not None and entry.step is not None:
            self.recorder.end(entry.step)
        if entry is not None and entry.root is entry:
            self.close(entry)
        return entry

    def let_go(self, entry):
        self.gone.append(entry.key)


class TestEntries:
    def test_all_below_a_root_have_that_root(self):
        work = Work()
        root, child = work.begin("root"), work.begin("child", "root")
        leaf = work.begin("leaf", "child")
        assert (leaf.parent, leaf.root, child.root, root.root) == (child, root, root, root)

    def test_an_end_is_given_once(self):
        work = Work()
        root = work.begin("root")
        child = work.begin("child", "root")
        assert work.pop("child") is child
        assert work.pop("child") is None
        assert work.pop("root") is root

    def test_an_end_without_a_start_is_none(self):
        assert Work().pop("never") is None

    def test_an_entry_that_ended_is_known_until_its_root_ends(self):
        work = Work()
        work.begin("root")
        child = work.begin("child", "root")
        work.end("child")
        assert work.find("child") is child
        work.end("root")
        assert work.find("child") is None

    def test_nothing_is_kept_of_a_root_that_ended(self):
        work = Work()
        work.begin("root")
        kept = weakref.ref(work.begin("child", "root"))
        work.end("child")
        work.end("root")
        gc.collect()
        assert kept() is None
        assert work.entries == {}
        assert sorted(work.gone) == ["child", "root"]

    def test_to_find_no_id_is_to_find_nothing(self):
        work = Work()
        work.begin("root")
        assert work.find(None) is None


class TestLateEnds:
    def test_an_entry_that_outlives_its_root_still_ends_once(self):
        work = Work()
        work.begin("root")
        child = work.begin("child", "root")
        work.end("root")
        assert work.entries == {}
        assert work.find("child") is child
        assert work.pop("child") is child
        assert work.pop("child") is None

    def test_what_begins_below_an_entry_that_outlived_its_root_can_end_too(self):
        work = Work()
        work.begin("root")
        work.begin("child", "root")
        work.end("root")
        late = work.begin("late", "child")
        assert work.entries == {}
        assert work.pop("late") is late

    def test_of_those_whose_end_never_comes_the_oldest_are_let_go(self, monkeypatch):
        monkeypatch.setattr(inflight, "MOST_LATE", 2)
        work = Work()
        work.begin("root")
        for key in "abc":
            work.begin(key, "root")
        work.end("root")
        assert [work.find(key) is not None for key in "abc"] == [False, True, True]

    def test_of_roots_whose_end_never_comes_the_oldest_are_let_go_with_all_below(self, monkeypatch):
        monkeypatch.setattr(inflight, "MOST_ROOTS", 2)
        work = Work()
        for number in range(3):
            work.begin(f"root {number}")
            work.begin(f"child {number}", f"root {number}")
        assert set(work.entries) == {"root 1", "child 1", "root 2", "child 2"}
        assert sorted(work.gone) == ["child 0", "root 0"]
        assert work.find("child 0") is not None


class TestEndedRoots:
    def test_a_run_that_ended_lately_is_known_by_all_its_ids(self, recorder):
        work = Work(recorder)
        root = work.begin("root").step
        work.begin("child", "root")
        work.end("root")
        assert work.ended_root("child") is work.ended_root("root") is root
        assert work.ended_root("other") is None

    def test_only_so_many_are_known(self, recorder, monkeypatch):
        monkeypatch.setattr(inflight, "RECENT_ENTRIES", 1)
        work = Work(recorder)
        work.begin("root")
        work.begin("child", "root")
        work.end("root")
        assert work.ended_root("root") is None


class TestParentStep:
    def test_it_is_the_step_of_the_native_parent(self, recorder):
        work = Work(recorder)
        root = work.begin("root").step
        assert work.parent_step("root") is root

    def test_where_the_parent_is_not_known_there_is_none(self, recorder):
        work = Work(recorder)
        work.begin("root")
        assert work.parent_step("other") is None
        assert work.parent_step(None) is None

    def test_a_parent_that_is_folded_away_stands_for_the_step_that_it_holds(self, recorder):
        work = Work(recorder)
        root = work.begin("root")
        folded = Entry("folded", root)
        folded.step = root.step
        work.add(folded)
        assert work.parent_step("folded") is root.step

    def test_a_parent_that_has_ended_stands_for_the_nearest_above_that_is_open(self, recorder):
        work = Work(recorder)
        root = work.begin("root").step
        work.begin("child", "root")
        work.end("child")
        assert work.parent_step("child") is root

    def test_a_run_that_ended_lately_stands_for_its_root(self, recorder):
        work = Work(recorder)
        root = work.begin("root").step
        work.begin("child", "root")
        work.end("child")
        work.end("root")
        assert work.parent_step("child") is root

    def test_what_the_host_opened_inside_the_parent_counts(self, default_db):
        work = Work(counterfoil.recorder_at())
        root = work.begin("root").step
        context.enter(root)  # as the framework's own code does
        try:
            with counterfoil.step("mine") as mine:
                assert work.parent_step("root").step_id == mine.step_id
            assert work.parent_step("root") is root
        finally:
            context.leave(root)
            work.end("root")

    def test_what_the_host_opened_elsewhere_does_not(self, default_db):
        work = Work(counterfoil.recorder_at())
        with counterfoil.step("around"):
            root = work.begin("root").step
            assert work.parent_step("root") is root
            work.end("root")


class TestTrackers:
    def test_a_store_has_one_state_and_another_store_another(self, tmp_path):
        one, two = Recorder(str(tmp_path / "1.db")), Recorder(str(tmp_path / "2.db"))
        trackers = Trackers(Work)
        assert trackers.of(one) is trackers.of(one)
        assert trackers.of(one) is not trackers.of(two)
        assert trackers.all() == (trackers.of(one), trackers.of(two))

    def test_a_new_recorder_of_the_same_store_has_a_new_state(self, tmp_path):
        trackers = Trackers(Work)
        first = trackers.of(Recorder(str(tmp_path / "x.db")))
        second = Recorder(str(tmp_path / "x.db"))
        assert trackers.of(second) is not first
        assert trackers.of(second).recorder is second

    def test_threads_that_come_at_once_get_the_same(self, recorder):
        barrier, trackers, found = threading.Barrier(8), Trackers(Work), []

        def look():
            barrier.wait()
            found.append(trackers.of(recorder))

        threads = [threading.Thread(target=look) for _ in range(8)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert len(set(map(id, found))) == 1

    def test_the_framework_s_own_context_is_asked_which_step_we_are_in(self, recorder, finders):
        trackers = Trackers(Work, lambda work: work.parent_step("root"))
        assert recorder.here() is None
        root = trackers.of(recorder).begin("root").step
        assert recorder.here() is root

    def test_a_store_that_an_adapter_does_not_record_to_is_none_of_its_affair(self, recorder, finders):
        asked = []
        Trackers(Work, asked.append)
        assert recorder.here() is None
        assert asked == []

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
    @pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
    def test_a_forked_child_waits_for_no_lock_of_its_parent_and_makes_its_own_anew(self, recorder):
        renewed = []
        trackers = Trackers(Work, in_child=renewed.append)
        state = trackers.of(recorder)
        with trackers._lock:
            child = os.fork()
            if child == 0:
                signal.alarm(20)  # else a child that waits for ever would have us wait too
                os._exit(0 if trackers.of(recorder) is state and renewed == [state] else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert renewed == []
