"""The key that signs: where it is, who may read it, and how it is written."""

from __future__ import annotations

import base64
import os
import re
import stat
from hashlib import sha256
from textwrap import dedent

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

import child
from cli_story import record
from counterfoil.store import keys, signing
from counterfoil.store.errors import StoreError

NAME = "counterfoil/00112233445566778899aabbccddeeff"


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("COUNTERFOIL_KEY", raising=False)
    return tmp_path / "config"


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "folder" / "the.key")


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_a_key_is_its_owners_alone_and_so_is_its_folder(path):
    keys.make(path, NAME)
    assert (mode(path), mode(os.path.dirname(path))) == (0o600, 0o700)


def test_a_key_is_written_as_gos_notes_write_it(path):
    """https://c2sp.org/signed-note: an id is of the name, the algorithm (1: Ed25519) and the public key."""
    made = keys.make(path, NAME)
    with open(path) as file:
        private, name, key_id, encoded = re.fullmatch(
            r"(PRIVATE\+KEY)\+(.+)\+([0-9a-f]{8})\+(\S+)\n", file.read()
        ).groups()
    data = base64.b64decode(encoded)
    public = Ed25519PrivateKey.from_private_bytes(data[1:]).public_key().public_bytes_raw()
    assert (private, name, data[:1]) == ("PRIVATE+KEY", NAME, b"\x01")
    assert key_id == sha256(NAME.encode() + b"\n\x01" + public).digest()[:4].hex()
    assert str(made.public) == f"{NAME}+{key_id}+{base64.b64encode(bytes([1]) + public).decode()}"


def test_what_it_signs_anybody_can_check_with_the_public_half(path):
    made = keys.make(path, NAME)
    public = keys.parse_public(str(made.public))
    signature = made.sign(b"words")
    Ed25519PublicKey.from_public_bytes(public.raw).verify(signature, b"words")
    assert public.verifies(b"words", signature)
    assert not public.verifies(b"other words", signature)
    assert not public.verifies(b"words", b"short")


def test_a_key_that_was_made_is_loaded_again(path):
    assert keys.make(path, NAME).public == keys.load(path).public


def test_where_there_is_none_none_is_loaded(path):
    assert keys.load(path) is None


def test_a_key_is_never_written_over(path):
    keys.make(path, NAME)
    with pytest.raises(StoreError, match=r"cannot be written: File exists\."):
        keys.make(path, NAME)


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_or_write_is_refused(path, bits):
    keys.make(path, NAME)
    os.chmod(path, bits)
    with pytest.raises(StoreError, match=r"may be read by others; make it its owner's alone \(chmod 600\)"):
        keys.load(path)


@pytest.mark.parametrize(
    "text", ["", "words", "PRIVATE+KEY+", "PRIVATE+KEY+name+00000000+AAAA", "PRIVATE+KEY+name+00000000+*"]
)
def test_a_file_that_is_no_key_is_one_sentence(tmp_path, text):
    file = tmp_path / "the.key"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(StoreError, match=r"is no (Ed25519 )?key"):
        keys.load(str(file))


def test_a_folder_is_no_key(tmp_path):
    with pytest.raises(StoreError, match=r"cannot be read: Is a directory\."):
        keys.load(str(tmp_path))


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_public_key_whose_parts_do_not_fit_together_is_refused(path, part):
    parts = str(keys.make(path, NAME).public).split("+", 2)
    other = str(keys.make(path + "2", "another").public).split("+", 2)
    with pytest.raises(StoreError, match="its parts do not fit together"):
        keys.parse_public("+".join([*parts[:part], other[part], *parts[part + 1 :]]))


def test_it_is_looked_for_in_the_users_configuration_by_the_stores_id(config):
    assert keys.path_of("abc") == str(config / "counterfoil" / "abc.key")


def test_without_a_folder_named_for_configuration_it_is_dot_config(monkeypatch):
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("COUNTERFOIL_KEY", raising=False)
    monkeypatch.setenv("HOME", "/home/ada")
    assert keys.path_of("abc") == "/home/ada/.config/counterfoil/abc.key"


def test_a_variable_names_another_file(tmp_path, config, monkeypatch):
    record(tmp_path / "x.db", "greet")
    monkeypatch.setenv("COUNTERFOIL_KEY", str(tmp_path / "elsewhere" / "the.key"))
    done = signing.begin(tmp_path / "x.db")
    assert (done.is_new, done.key_file) == (True, str(tmp_path / "elsewhere" / "the.key"))
    assert not config.exists()


def test_the_second_time_it_is_the_same_key(tmp_path, config):
    record(tmp_path / "x.db", "greet")
    first, second = signing.begin(tmp_path / "x.db"), signing.begin(tmp_path / "x.db")
    assert (first.is_new, second.is_new) == (True, False)
    assert first.public_key == second.public_key


def test_a_store_that_is_signed_is_not_signed_with_another_key(tmp_path, config, monkeypatch):
    record(tmp_path / "x.db", "greet")
    signing.begin(tmp_path / "x.db")
    monkeypatch.setenv("COUNTERFOIL_KEY", str(tmp_path / "other.key"))
    with pytest.raises(StoreError, match="the key that this store is signed with is not in"):
        signing.begin(tmp_path / "x.db")
    assert not (tmp_path / "other.key").exists()
    keys.make(str(tmp_path / "other.key"), NAME)
    with pytest.raises(StoreError, match="is not the key that this store is signed with"):
        signing.begin(tmp_path / "x.db")


def test_two_who_begin_at_once_have_one_key(tmp_path, config):
    record(tmp_path / "x.db", "greet")
    code = "import sys; from counterfoil.store import signing; print(signing.begin(sys.argv[1]).public_key)"
    started = [
        child.start(code, tmp_path / "x.db", XDG_CONFIG_HOME=config, COUNTERFOIL_RAISE="0") for _ in range(2)
    ]
    said = [one.communicate(timeout=60) for one in started]
    assert [one.returncode for one in started] == [0, 0], said
    assert len({printed for printed, _ in said}) == 1


WITHOUT = """
    import sys
    class Blocked:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] == "cryptography":
                raise ImportError(name)
    sys.meta_path.insert(0, Blocked())
"""


def test_without_cryptography_to_sign_and_to_verify_is_one_sentence(tmp_path, config):
    record(tmp_path / "x.db", "greet")
    command = dedent(WITHOUT) + dedent("""
        from counterfoil.cli import main
        sys.argv[0] = "counterfoil"
        main()
    """)
    sentence = (
        "counterfoil: signatures need the package cryptography; install counterfoil with the extra audit.\n"
    )
    with child.start(command, "checkpoint", "--db", tmp_path / "x.db", XDG_CONFIG_HOME=config) as process:
        assert process.communicate(timeout=60) == ("", sentence)
        assert process.returncode == 1
    signing.begin(tmp_path / "x.db")
    with child.start(command, "verify", "--db", tmp_path / "x.db", XDG_CONFIG_HOME=config) as process:
        assert process.communicate(timeout=60)[1] == sentence
        assert process.returncode == 1


def test_core_does_not_import_cryptography_where_nothing_is_signed(tmp_path):
    code = """
        import sys, counterfoil
        with counterfoil.run("desk"):
            pass
        assert counterfoil.flush()
        print("cryptography" in sys.modules)
    """
    assert child.run(code, db=tmp_path / "x.db") == "False\n"
