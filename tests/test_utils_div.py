"""In an emergency what a process holds is saved, readable for its owner alone, and never by pickle unasked."""

from __future__ import annotations

import io
import json
import pickle
import stat
from pathlib import Path
from typing import Any

import pytest

from kombu.utils.div import Writable, emergency_dump_state


@pytest.fixture(autouse=True)
def own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_the_state_is_saved_as_json_and_standard_error_is_told_where(capsys: pytest.CaptureFixture[str]) -> None:
    path = emergency_dump_state({"unacked": [1, "ü"]})
    assert json.loads(Path(path).read_text("utf-8")) == {"unacked": [1, "ü"]}
    assert path in capsys.readouterr().err


def test_only_the_owner_may_read_it() -> None:
    path = emergency_dump_state(["secret"], stderr=io.StringIO())
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600


def test_the_stream_that_is_given_is_told_instead(capsys: pytest.CaptureFixture[str]) -> None:
    told = io.StringIO()
    path = emergency_dump_state([], stderr=told)
    assert path in told.getvalue()
    assert capsys.readouterr().err == ""


class Unpickled:
    def __reduce__(self) -> Any:
        raise AssertionError("nobody asked for pickle")


class Odd(Unpickled):
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(("state", "saved"), [([Unpickled()], "Unpickled object"), (Odd(), "Unprintable 'Odd'")])
def test_what_is_no_json_is_saved_as_its_repr(state: object, saved: str) -> None:
    told = io.StringIO()
    path = emergency_dump_state(state, stderr=told)
    assert saved in Path(path).read_text()
    assert "Unpickled" in told.getvalue() or "Odd" in told.getvalue()


def test_what_a_failed_attempt_has_written_is_taken_back() -> None:
    def dump(state: object, file: Writable) -> None:
        file.write("half of a very long state")
        raise OSError("no")

    path = emergency_dump_state([1], dump=dump, stderr=io.StringIO())
    assert Path(path).read_text() == "[1]"


def test_who_asks_for_pickle_gets_pickle() -> None:
    def binary(path: str, mode: str) -> Writable:
        return open(path, f"{mode}b")

    path = emergency_dump_state({1: {2}}, open_file=binary, dump=pickle.dump, stderr=io.StringIO())
    assert pickle.loads(Path(path).read_bytes()) == {1: {2}}


def test_each_emergency_has_a_file_of_its_own() -> None:
    assert len({emergency_dump_state([], stderr=io.StringIO()) for _ in range(3)}) == 3
