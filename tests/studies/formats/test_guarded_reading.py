"""A file that ends or holds the library that reads it is told in one line, and the next one is read."""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.formats.guarded_reading import GuardedReader, Limits

QUICK = Limits(processor_seconds=1)


@pytest.fixture
def write(tmp_path):
    def write(name, told):
        (tmp_path / name).write_text(told)
        return tmp_path / name

    return write


def _reader(function="read", limits=QUICK):
    return GuardedReader(f"reading_stand_ins:{function}", limits)


def test_arrays_come_as_they_were_read_by_one_helper_for_all_files(write):
    reader, file = _reader(), write("a", "fine")
    first, second = reader.read(file), reader.read(file)
    assert first.about["told"] == "fine"
    assert first.about["helper"] == second.about["helper"] != os.getpid()
    assert first.arrays["empty"].shape == (2, 0)
    np.testing.assert_array_equal(first.arrays["numbers"], [[0, 1, 2], [3, 4, 5]])
    assert first.arrays["numbers"].dtype == ">i2"
    first.arrays["numbers"][0] = 7  # nobody else holds it


@pytest.mark.parametrize("told", ["compute", "break down", "leave"])
def test_a_file_that_ends_or_holds_the_helper_is_one_line(write, told):
    reader, good = _reader(), write("good", "fine")
    before = reader.read(good).about["helper"]
    with pytest.raises(ScanweaveError, match="damaged: the library that reads it breaks down on it") as caught:
        reader.read(write("bad", told))
    assert caught.value.where.endswith("bad")
    assert "\n" not in str(caught.value)
    assert reader.read(good).about["helper"] != before


def test_a_helper_that_only_waits_is_ended_by_the_clock(write):
    with pytest.raises(ScanweaveError, match="comes to no end"):
        _reader(limits=Limits(wall_seconds=0.5)).read(write("bad", "wait"))


def test_a_refusal_names_the_file_as_it_was_given_and_keeps_the_helper(write, monkeypatch, tmp_path):
    reader, good = _reader(), write("good", "fine")
    before = reader.read(good).about["helper"]
    bad = write("bad", "refuse").relative_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ScanweaveError, match=r"^bad: says that it is refused"):
        reader.read(bad)
    assert reader.read(good).about["helper"] == before


def test_a_file_is_not_blamed_for_a_helper_that_was_ended_before(write):
    reader, good = _reader(), write("good", "fine")
    os.kill(reader.read(good).about["helper"], signal.SIGTERM)
    assert reader.read(good).about["told"] == "fine"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a limit of memory")
def test_memory_is_what_was_told_and_little_more(write):
    reader = _reader("hold", Limits(spare_bytes=2**26))
    with pytest.raises(ScanweaveError, match="needs more memory than there is"):
        reader.read(write("a", f"untold {2**28}"))
    assert reader.read(write("b", f"told {2**28}")).arrays["last"].tolist() == [1]
    with pytest.raises(ScanweaveError, match="needs more memory than there is"):
        reader.read(write("c", f"untold {2**28}"))


def test_what_a_library_prints_is_no_answer(write):
    assert _reader("print_aside").read(write("a", "")).about == {}


def test_threads_get_the_answers_to_their_own_files(write):
    reader, files = _reader(), [write(f"{n}", f"file {n}") for n in range(20)]
    with ThreadPoolExecutor(4) as pool:
        told = [contents.about["told"] for contents in pool.map(reader.read, files)]
    assert told == [f"file {n}" for n in range(20)]


def test_an_interrupted_answer_is_not_taken_for_the_next(write, monkeypatch):
    reader, good = _reader(), write("good", "fine")
    with monkeypatch.context() as patched:
        patched.setattr("scanweave.studies.formats.guarded_reading.json.loads", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            reader.read(write("other", "other"))
    assert reader.read(good).about["told"] == "fine"


def _interrupt(line):
    raise KeyboardInterrupt


def test_a_helper_that_does_not_start_blames_no_file(write):
    with pytest.raises(ScanweaveError, match="starts no process that reads files") as caught:
        GuardedReader("no_such_module:read").read(write("a", ""))
    assert caught.value.where == sys.executable


def test_what_is_no_plain_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ScanweaveError, match="a pipe or device"):
        _reader().read(tmp_path / "pipe")
