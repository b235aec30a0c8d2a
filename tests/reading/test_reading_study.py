"""A reading study from two cohorts to its page: matched, blind, kept, and analysed with the key alone."""

import json

import nibabel as nib
import numpy as np
import pytest

import scanweave as sw
from scanweave.cli.main import main
from scanweave.errors import ScanweaveError
from scanweave.reading.analysis import analyse
from scanweave.reading.answers import ReadingStudy, read_key
from scanweave.reading.build import ITEMS, build_study, lesions
from scanweave.simulate.tumours import simulate_tumours


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    sizes = {"spacing": 5.0, "diameter": (18.0, 23.0)}
    real = simulate_tumours(folder / "real", subjects=12, seed=0, tumours=1.0, **sizes)
    healthy = simulate_tumours(folder / "healthy", subjects=7, seed=50, tumours=0.0, **sizes)
    made = sw.synthesize_cohort(
        healthy, folder / "made", organ_mask="organs", rules=True, count=3, diameter_mm=20.0, say=str
    )
    return real, made


@pytest.fixture
def study(cohorts, tmp_path):
    build_study(*cohorts, tmp_path / "study", tmp_path / "key.json", items=10, repeated=0.2, seed=1, say=str)
    return ReadingStudy(tmp_path / "study"), tmp_path / "key.json"


def answer_all(study, reader, truth, right):
    rng = np.random.default_rng(len(reader))
    while (item := study.next_item(reader)) is not None:
        made = truth[item]["made"] if rng.random() < right else not truth[item]["made"]
        study.answer(reader, {"item": item, "made": bool(made), "confidence": 3, "cue": "edge", "seconds": 2.5})


def test_items_are_alike_in_all_but_the_tumour(study):
    reading, key = study
    truth = read_key(key, reading)
    once = [about for about in truth.values() if about["again"] is None]
    assert sum(about["made"] for about in once) * 2 == len(once)
    files = sorted((reading.folder / ITEMS).iterdir())
    assert {path.stem for path in files} == set(truth) == set(reading.items)
    assert len({path.stat().st_size for path in files}) == 1
    headers = {bytes(nib.load(path).header.binaryblock) for path in files}
    assert len(headers) == 1  # nothing in a header tells them apart
    assert reading.items == sorted(reading.items)
    told = (reading.folder / "reading.json").read_text()
    assert "made" not in told
    assert not any(str(about["study"]) in told for about in truth.values())


def test_the_seed_that_is_served_does_not_give_the_key(cohorts, tmp_path):
    keys = []
    for number in range(2):
        build_study(*cohorts, tmp_path / f"s{number}", tmp_path / f"k{number}.json", items=10, seed=5, say=str)
        keys.append(json.loads((tmp_path / f"k{number}.json").read_text())["items"])
    assert keys[0].keys().isdisjoint(keys[1])
    shown = [sorted((about["study"], about["number"], about["made"]) for about in key.values()) for key in keys]
    assert {*shown[0]} == {*shown[1]}  # the same tumours are chosen


def test_pairs_are_of_like_size(study):
    reading, key = study
    truth = [about for about in read_key(key, reading).values() if about["again"] is None]
    sizes = [sorted(about["diameter_mm"] for about in truth if about["made"] == kind) for kind in (True, False)]
    assert all(abs(np.log(one / other)) < 0.2 for one, other in zip(*sizes, strict=True))


def test_names_and_orders_say_nothing_of_the_kind(cohorts, tmp_path):
    found = []
    for seed in range(12):
        folder, key = tmp_path / f"s{seed}", tmp_path / f"k{seed}.json"
        build_study(*cohorts, folder, key, items=10, repeated=0.0, seed=seed, say=str)
        reading = ReadingStudy(folder)
        truth = read_key(key, reading)
        for order in (reading.items, reading.order("a"), reading.order("b")):
            kinds = [truth[name]["made"] for name in order]
            found.append(np.corrcoef(np.arange(len(kinds)), kinds)[0, 1])
        assert reading.order("a") != reading.order("b")
        assert reading.order("a") == ReadingStudy(folder).order("a")
    assert abs(np.mean(found)) < 0.2


def test_answers_go_to_the_next_item_and_never_back(study):
    reading, _ = study
    first = reading.next_item("anna")
    good = {"item": first, "made": True, "confidence": 2, "cue": "", "seconds": 1.0}
    for wrong in (
        {**good, "item": reading.order("anna")[1]},
        {**good, "confidence": 9},
        {**good, "made": "yes"},
        {**good, "cue": "smell"},
    ):
        with pytest.raises(ScanweaveError):
            reading.answer("anna", wrong)
    reading.answer("anna", good)
    with pytest.raises(ScanweaveError):
        reading.answer("anna", good)
    assert len(reading.answered("anna")) == 1
    path = reading.folder / "answers" / "anna.jsonl"
    path.write_text(path.read_text() + '{"item": "half')  # a server that was killed while it wrote
    second = reading.order("anna")[1]
    assert reading.next_item("anna") == second
    reading.answer("anna", {**good, "item": second})
    assert [one["item"] for one in reading.answered("anna")] == [first, second]
    for code in ("../key", "", "a b", "x" * 40):
        with pytest.raises(ScanweaveError, match="is no code"):
            reading.next_item(code)


def test_what_readers_told_is_analysed_with_the_key_alone(study, tmp_path, capsys):
    reading, key = study
    truth = read_key(key, reading)
    with pytest.raises(ScanweaveError, match="no reader has finished"):
        analyse(reading, key, tmp_path / "early", str)
    for reader, right in (("anna", 1.0), ("bert", 0.5)):
        answer_all(reading, reader, truth, right)
    reading.answer("carl", {"item": reading.next_item("carl"), "made": True, "confidence": 1})
    assert main(["readers", "analyse", str(reading.folder), "--key", str(key), "--out", str(tmp_path / "told")]) == 0
    text = capsys.readouterr().out
    assert "left out: carl, who has answered 1 of" in text
    table = np.genfromtxt(tmp_path / "told" / "readers.csv", delimiter=",", dtype=str, encoding="utf-8")
    assert {"anna", "bert", "all", "machine"} <= set(table[:, 0])
    assert "AUC of a machine" in (tmp_path / "told" / "readers.html").read_text()
    changed = json.loads(key.read_text())
    name = next(iter(changed["items"]))
    changed["items"][name]["made"] = not changed["items"][name]["made"]
    key.write_text(json.dumps(changed))
    with pytest.raises(ScanweaveError, match="its hash is another one"):
        analyse(reading, key, tmp_path / "again", str)


def test_the_way_by_the_command_line(cohorts, tmp_path, capsys):
    real, made = (str(one.folder) for one in cohorts)
    asked = ["readers", "build", "--real", real, "--made", made, "--out", str(tmp_path / "s"), "--items", "8"]
    assert main([*asked, "--key", str(tmp_path / "k.json")]) == 0
    assert "next: scanweave readers serve" in capsys.readouterr().out
    assert main([*asked, "--key", str(tmp_path / "k.json")]) == 2
    assert main([*asked[:-4], "--out", str(tmp_path / "t"), "--key", str(tmp_path / "t" / "k.json")]) == 2
    assert "lies in the folder that is served" in capsys.readouterr().err
    assert main([*asked[:-4], "--out", str(tmp_path / "u"), "--key", str(tmp_path / "u.json"), "--mask", "nodes"]) == 2
    assert not (tmp_path / "u").exists()
    for wrong in (["--items", "2"], ["--repeated", "-0.1"], ["--seed", "-1"], ["--scan", "mr"]):
        assert main([*asked[:-4], "--out", str(tmp_path / "v"), "--key", str(tmp_path / "v.json"), *wrong]) == 2
    assert not (tmp_path / "v.json").exists()


def test_lesions_are_those_of_the_mask(cohorts):
    _, made = cohorts
    found = list(lesions(made, "tumours", "ct"))
    assert len(found) == 3 * len(made)
    assert all(abs(one.diameter_mm / 20 - 1) < 0.15 for one in found)
