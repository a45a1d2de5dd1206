"""Servers that fork their workers: each worker records on a tape of its own, and nothing acknowledged is lost."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from textwrap import dedent

import pytest

import child
import counterfoil
from acknowledged import assert_the_store_is_whole

pytestmark = pytest.mark.slow


def start(folder, db, *command, said):
    """Start a server's program; its output goes to the file `said`."""
    environment = child.environment(db, COUNTERFOIL_DRAIN="on")
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), environment["PYTHONPATH"]])
    with said.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, *command], cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )


def until(true, process, said):
    deadline = time.monotonic() + child.SECONDS
    while not (found := true()):
        assert process.poll() is None, said.read_text()
        assert time.monotonic() < deadline, said.read_text()
        time.sleep(0.02)
    return found


@pytest.fixture
def said(tmp_path):
    return tmp_path / "said.txt"


@pytest.fixture
def ending():
    """Give a list for the servers of a test; none outlives it."""
    servers = []
    yield servers
    for one in servers:
        if one.poll() is None:
            one.terminate()
            try:
                one.wait(child.SECONDS)
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()


def runs(db):
    """Give each run's name, status and worker."""
    with counterfoil.open(db) as store:
        assert_the_store_is_whole(db, store)
        _, rows = store.sql(
            "SELECT r.run_id, r.name, r.status, p.pid FROM runs r JOIN steps s ON s.run_id = r.run_id AND s.parent_id IS NULL "
            "JOIN processes p USING (process_id)"
        )
    assert len({run_id for run_id, *_ in rows}) == len(rows)
    return {run_id: (name, status, pid) for run_id, name, status, pid in rows}


# -- gunicorn

DESK = """
    import os
    import counterfoil

    with counterfoil.run("before the fork"):
        pass

    def app(environ, start_response):
        with counterfoil.run("ticket", input=environ["QUERY_STRING"]) as span:
            with counterfoil.step("answer"):
                pass
        if environ["PATH_INFO"] == "/die":
            os.kill(os.getpid(), 9)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{span.run_id} {os.getpid()}".encode()]
"""


@pytest.mark.parametrize(
    "worker", [["--threads", "1"], ["--threads", "4"]], ids=["one thread", "four threads"]
)
def test_gunicorn_workers_forked_from_a_preloaded_app_lose_nothing_that_was_answered(
    tmp_path, db, said, ending, worker
):
    (tmp_path / "desk.py").write_text(dedent(DESK))
    command = ["-m", "gunicorn", "desk:app", "--preload", "--workers", "3", "--max-requests", "15", *worker]
    server = start(tmp_path, db, *command, "--bind", "127.0.0.1:0", "--worker-tmp-dir", tmp_path, said=said)
    ending.append(server)
    port = until(
        lambda: re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", said.read_text()), server, said
    )[1]

    def ask(number):
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=child.SECONDS)
        try:
            connection.request("GET", "/die" if number % 20 == 19 else f"/?{number}")
            return connection.getresponse().read().decode().split()
        except (http.client.HTTPException, OSError):  # its worker has died
            return None
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        answers = [answer for answer in pool.map(ask, range(100)) if answer is not None]
    server.terminate()
    assert server.wait(child.SECONDS) == 0, said.read_text()
    found = runs(db)
    assert len(answers) > 50
    assert {run_id: found.get(run_id) for run_id, _ in answers} == {
        run_id: ("ticket", "ok", int(pid)) for run_id, pid in answers
    }
    told = Counter((name, status) for name, status, _ in found.values())
    assert told["before the fork", "ok"] == 1
    assert told["ticket", "ok"] > len(answers)  # some workers died between recording and answering
    workers = {pid for name, _, pid in found.values() if name == "ticket"}
    assert server.pid not in workers
    assert len(workers) > 6


# -- Celery

TASKS = """
    import os, pathlib, signal
    import counterfoil
    from celery import Celery

    app = Celery("tasks", broker="filesystem://")
    here = pathlib.Path(__file__).parent
    for name in ("queue", "control", "told"):
        (here / name).mkdir(exist_ok=True)
    app.conf.update(
        broker_transport_options={
            "data_folder_in": str(here / "queue"),
            "data_folder_out": str(here / "queue"),
            "control_folder": str(here / "control"),
        },
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
    )

    with counterfoil.run("before the fork"):
        pass

    @app.task
    def answer(number):
        with counterfoil.run("ticket", input=number) as span:
            with counterfoil.step("answer"):
                pass
        (here / "told" / str(number)).write_text(f"{span.run_id} {os.getpid()}")
        if number % 10 == 9:
            os.kill(os.getpid(), signal.SIGKILL)
"""

ASK = """
    import tasks
    for number in range(30):
        tasks.answer.delay(number)
"""


def test_celery_prefork_workers_lose_nothing_that_was_answered(tmp_path, db, said, ending):
    (tmp_path / "tasks.py").write_text(dedent(TASKS))
    (tmp_path / "ask.py").write_text(dedent(ASK))
    told = tmp_path / "told"
    options = ["--pool", "prefork", "--concurrency", "2", "--max-tasks-per-child", "7", "--without-mingle"]
    worker = start(
        tmp_path, db, "-m", "celery", "-A", "tasks", "worker", *options, "--without-gossip", said=said
    )
    ending.append(worker)
    assert start(tmp_path, db, "ask.py", said=tmp_path / "asked.txt").wait(child.SECONDS) == 0
    until(lambda: len([one for one in told.iterdir() if one.read_text()]) == 30, worker, said)
    worker.send_signal(signal.SIGTERM)
    worker.wait(child.SECONDS)
    found = runs(db)
    answers = dict(one.read_text().split() for one in told.iterdir())
    assert len(answers) == 30
    assert {run_id: found.get(run_id) for run_id in answers} == {
        run_id: ("ticket", "ok", int(pid)) for run_id, pid in answers.items()
    }
    names = Counter(name for name, *_ in found.values())
    assert names["ticket"] >= 30
    assert names["before the fork"] == 2  # the worker's own, and that of the process that asked
    assert len(set(answers.values()) - {str(worker.pid)}) > 3
