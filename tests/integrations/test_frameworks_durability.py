"""Every adapter takes `durability`, for the whole process and for what its users pass themselves."""

import importlib

import pytest

import counterfoil

pytestmark = pytest.mark.slow

INSTALLED = ["counterfoil_langchain", "counterfoil_crewai", "counterfoil_llama_index", "counterfoil_autogen"]


@pytest.mark.parametrize("name", INSTALLED)
def test_install_takes_the_durability_of_its_store(tmp_path, name):
    adapter = importlib.import_module(name)
    adapter.install(tmp_path / "x.db", quiet=True, durability="power")
    try:
        assert counterfoil.recorder_at(tmp_path / "x.db").durability == "power"
        with pytest.raises(ValueError, match="durability is 'process' or 'power', not 'fsync'"):
            adapter.install(tmp_path / "x.db", quiet=True, durability="fsync")
    finally:
        adapter.uninstall()


def handler(db):
    from counterfoil_langchain import CounterfoilHandler

    CounterfoilHandler(db, durability="power")


def listener(db):
    from counterfoil_crewai import CounterfoilListener

    CounterfoilListener(db, durability="power").close()


def block(db):
    import counterfoil_llama_index

    with counterfoil_llama_index.record(db, durability="power"):
        pass


def team(db):
    from autogen_agentchat.agents import AssistantAgent
    from autogen_ext.models.replay import ReplayChatCompletionClient

    import counterfoil_autogen

    counterfoil_autogen.record(AssistantAgent("a", ReplayChatCompletionClient([])), db, durability="power")
    counterfoil_autogen.uninstall()


@pytest.mark.parametrize("passed", [handler, listener, block, team])
def test_what_users_pass_themselves_takes_it_too(tmp_path, passed):
    passed(tmp_path / "x.db")
    assert counterfoil.recorder_at(tmp_path / "x.db").durability == "power"


def test_the_one_line_for_all_takes_it(tmp_path):
    counterfoil.install(tmp_path / "x.db", only=(), quiet=True, durability="power")
    assert counterfoil.recorder_at(tmp_path / "x.db").durability == "power"
