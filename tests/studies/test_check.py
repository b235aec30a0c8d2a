"""Verdicts: what is found, in words; and the repairs that preparation makes."""

from __future__ import annotations

import errno
from pathlib import Path

import nibabel as nib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.checks import cohort_check as check
from scanweave.studies.checks.cohort_check import check_cohort, check_study, judge, sound_studies, verdicts
from scanweave.studies.checks.voxel_check import fingerprint
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.image_reader import read_scan
from scanweave.studies.preparing.plan import learn_plan
from scanweave.studies.preparing.preparation import to_grid
from scanweave.studies.preparing.prepared_cache import PreparedCohort
from scanweave.studies.preparing.repairs import repaired
from scanweave.studies.preparing.settings import PreparationSettings
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study

GRID = np.diag([6.0, 6.0, 6.0, 1.0])


def anatomy(seed: int, shape=(24, 26, 22)) -> np.ndarray:
    """Tissue of a made-up head: 0 outside, 1 to 4 inside."""
    place = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    radius = np.sqrt((place**2).sum(axis=0)) + 0.03 * np.random.default_rng([1, seed]).normal(size=shape)
    return np.digitize(radius, [0.3, 0.5, 0.7, 0.85])


LOOKS = {"t1": [900, 700, 500, 250, 0], "t2": [250, 500, 600, 950, 0], "flair": [500, 650, 800, 120, 0]}


def image(name: str, seed: int) -> np.ndarray:
    generator = np.random.default_rng([seed, *name.encode()])
    values = np.array(LOOKS[name], dtype=float) * generator.uniform(0.7, 1.4)
    tissue = anatomy(seed)
    return (values[tissue] + (tissue < 4) * generator.normal(0, 25, tissue.shape)).astype(np.float32)


def write(path: Path, data: np.ndarray, affine: np.ndarray = GRID) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, affine), path)


def study(folder: Path, **scans: tuple[np.ndarray, np.ndarray]):
    row = {"study": "s", "patient": "p"}
    for name, (data, affine) in scans.items():
        write(folder / f"{name}.nii.gz", data, affine)
        row[f"scan:{name}"] = f"{name}.nii.gz"
    return check_study(row, folder)


def cohort(folder: Path, exchange: int | None = None) -> Cohort:
    rows = []
    for i in range(7):
        names = dict(zip(LOOKS, LOOKS, strict=True))
        if i == exchange:
            names |= {"t1": "t2", "t2": "t1"}
        for name, shown in names.items():
            write(folder / f"{i}/{name}.nii.gz", image(shown, i))
        rows.append({"study": f"s{i}", "patient": f"p{i}", **{f"scan:{n}": f"{i}/{n}.nii.gz" for n in names}})
    return Cohort.create(folder, rows, root=".", name="c", source="test", layout="folders")


def kinds(verdict) -> dict[str, str]:
    return {finding.kind: finding.status for finding in verdict.findings}


def test_a_sound_study_is_ok(tmp_path):
    assert study(tmp_path, t1=(image("t1", 0), GRID), t2=(image("t2", 0), GRID)).status == "ok"


def test_grids_that_differ_name_the_reference(tmp_path):
    coarse = np.diag([12.0, 12.0, 12.0, 1.0])
    coarse[:3, 3] = 3
    verdict = study(tmp_path, t1=(image("t1", 0), GRID), t2=(image("t2", 0)[::2, ::2, ::2].copy(), coarse))
    assert verdict.status == "repaired"
    assert "resampled to the grid of t1" in str(verdict.findings[0])


def test_mixed_orientation_is_said_and_exact(tmp_path):
    turned = GRID @ np.array([[-1.0, 0, 0, 23], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    verdict = study(tmp_path, t1=(image("t1", 0), GRID), t2=(image("t2", 0)[::-1].copy(), turned))
    assert kinds(verdict) == {"orientation": "repaired"}
    assert "t1 RAS, t2 LAS" in verdict.findings[0].words
    own = {"t1": image("t1", 0), "t2": image("t2", 0)}
    scans = {name: read_scan(tmp_path / f"{name}.nii.gz") for name in own}
    for name, scan in scans.items():
        np.testing.assert_array_equal(to_grid(scan, scans["t1"].geometry), own[name])


def test_how_much_of_the_grid_a_scan_does_not_cover_is_said(tmp_path):
    verdict = study(tmp_path, t1=(image("t1", 0), GRID), t2=(image("t2", 0)[:, :, :11], GRID))
    assert kinds(verdict) == {"grid": "repaired"}
    assert verdict.findings[0].step == "resampled to the grid of t1; about 50 % of that it does not cover: absent there"
    assert "absent" not in str(study(tmp_path, t1=(image("t1", 0), GRID), t2=(image("t2", 0), GRID * 1.0001)))


def test_too_little_overlap_is_refused(tmp_path):
    away = GRID.copy()
    away[2, 3] = 100
    verdict = study(tmp_path, t1=(image("t1", 0), GRID), t2=(image("t2", 0), away))
    assert kinds(verdict)["overlap"] == "refused"


def test_every_bad_image_of_a_study_is_named(tmp_path):
    hole = image("t2", 0)
    hole[:5] = np.nan
    verdict = study(tmp_path, t1=(np.full((9, 9, 9), 3.0), GRID), t2=(hole, GRID), flair=(image("flair", 0), GRID * 50))
    refused = {finding.scan: finding.kind for finding in verdict.findings if finding.status == "refused"}
    assert refused["t1"] == "constant"
    assert refused["t2"] == "non-finite"
    assert refused["flair"] == "units"


def test_a_file_under_two_names_is_suspect(tmp_path):
    verdict = study(tmp_path, t1=(image("t1", 0), GRID), t2=(image("t1", 0), GRID))
    assert kinds(verdict) == {"copy": "suspect"}


@pytest.mark.parametrize("exchange", [None, 0, 4])
def test_exchanged_names_are_suspected_and_sound_ones_are_not(tmp_path, exchange):
    found = {v.study: kinds(v) for v in check_cohort(cohort(tmp_path, exchange))}
    assert {name for name, own in found.items() if "swapped" in own} == (
        {f"s{exchange}"} if exchange is not None else set()
    )


def test_a_series_is_refused_only_where_the_others_are_volumes(tmp_path):
    made = cohort(tmp_path)
    write(tmp_path / "3/t1.nii.gz", np.stack([image("t1", 3), image("t1", 4)], axis=-1))
    found = {v.study: v for v in check_cohort(made)}
    assert kinds(found["s3"])["series"] == "refused"
    assert found["s1"].status == "ok"


def test_a_series_is_said_and_a_fit_goes_on_with_the_volumes(tmp_path):
    made = cohort(tmp_path)
    rows = made.frame.to_dict("records")
    for row in rows[:6]:
        frames = np.stack([image("t1", int(row["study"][1])), image("t2", int(row["study"][1]))], axis=-1)
        write(tmp_path / f"{row['study']}/dwi.nii.gz", frames)
        row["scan:dwi"] = f"{row['study']}/dwi.nii.gz"
    with_series = Cohort.create(tmp_path / "dwi", rows, root="..", name="c", source="test", layout="folders")
    found = check_cohort(with_series)
    assert {v.status for v in found} == {"ok"}
    assert [str(f) for f in found[0].findings] == [
        "dwi: a series of 2 frames, 0 to 1 s → systems that learn from series use it, the others leave it out"
    ]
    assert not found[6].findings
    lines: list[str] = []
    sound = sound_studies(with_series, 1, lines.append)
    assert sound.studies == with_series.studies
    assert sound.names("scan") == ["t1", "t2", "flair"]
    assert lines == ["check: ok 7 · series left out: dwi 6"]
    plan = learn_plan(sound, sound.names("scan"), PreparationSettings())
    assert set(PreparedCohort(sound, plan).prepare()[0].names) == {"t1", "t2", "flair"}


def kept(folder: Path) -> dict[str, str]:
    return dict(pq.read_table(folder / "check.parquet", columns=["study", "status"]).to_pandas().to_numpy().tolist())


@pytest.fixture
def judged(monkeypatch) -> list[int]:
    """Count the studies that were judged, each time that any were."""
    counts: list[int] = []
    monkeypatch.setattr(check, "judge", lambda evidence: counts.append(len(evidence)) or judge(evidence))
    return counts


def test_verdicts_stand_until_a_file_changes(tmp_path, judged, monkeypatch):
    made = cohort(tmp_path, exchange=4)
    first = check_cohort(made)
    assert {v.study: v.status for v in first} == {f"s{i}": "suspect" if i == 4 else "ok" for i in range(7)}
    assert kept(tmp_path)["s0"] == "ok"
    read = []
    reader = "scanweave.studies.formats.image_reader.read_scan"
    monkeypatch.setattr(reader, lambda path: read.append(path) or _missing(path))
    written = (tmp_path / "check.parquet").stat().st_mtime_ns
    assert verdicts(made) == first
    assert verdicts(made.select(["s4", "s1"])) == [first[1], first[4]]
    assert (read, judged, (tmp_path / "check.parquet").stat().st_mtime_ns) == ([], [7], written)
    write(tmp_path / "2/t1.nii.gz", image("t1", 99))
    found = {v.study: v for v in verdicts(made)}
    assert found["s2"].status == "refused"
    assert found["s4"] == first[4]
    assert {path.parent.name for path in read} == {"2"}
    assert judged == [7, 7]


def _missing(path):
    raise ScanweaveError(path, "not read in this test", "Go on")


def test_a_part_of_a_cohort_keeps_the_verdicts_of_the_rest(tmp_path, judged):
    made = cohort(tmp_path)
    verdicts(made.select(["s1", "s2"]))
    assert [v.study for v in verdicts(made.select(["s3"]))] == ["s3"]
    assert set(kept(tmp_path)) == {"s1", "s2", "s3"}
    assert judged == [2, 3]


def test_what_is_new_is_compared_with_what_is_known_and_the_other_way_round(tmp_path):
    made = cohort(tmp_path, exchange=6)
    write(tmp_path / "1/t1.nii.gz", image("t1", 0))  # the same as that of s0
    assert {v.status for v in verdicts(made.select(["s0", *(f"s{i}" for i in range(2, 6))]))} == {"ok"}
    verdicts(made.select(["s1", "s6"]))
    found = {v.study: kinds(v) for v in verdicts(made)}
    assert found["s0"] == found["s1"] == {"copy": "suspect"}
    assert found["s6"] == {"swapped": "suspect"}
    assert verdicts(made) == check_cohort(made)


@pytest.mark.parametrize("call", [check_cohort, verdicts, lambda made, say: sound_studies(made, 1, say)])
def test_a_cohort_that_cannot_be_written_to_is_checked_nevertheless(tmp_path, call, monkeypatch):
    made = cohort(tmp_path)

    def refuse(**_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("scanweave.files.tempfile.mkstemp", refuse)
    said: list[str] = []
    assert len(call(made, say=said.append)) == 7
    assert "Read-only file system" in said[0]
    assert sum("not kept" in line for line in said) == 1


def damaged(path: Path, **cells: str) -> None:
    table = pq.read_table(path)
    for name, cell in cells.items():
        table = table.set_column(table.column_names.index(name), name, pa.array([cell] * len(table)))
    pq.write_table(table, path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"{}"),
        lambda path: path.write_bytes(path.read_bytes()[:-9]),
        lambda path: pq.write_table(pq.read_table(path).replace_schema_metadata({}), path),
        lambda path: pq.write_table(pq.read_table(path).drop_columns("findings"), path),
        lambda path: damaged(path, findings="[{}]"),
        lambda path: damaged(path, findings="[" * 100_000),
        lambda path: damaged(path, files="", evidence="{}"),
    ],
)
def test_damaged_verdicts_are_one_line_and_made_again_by_a_check(tmp_path, spoil):
    made = cohort(tmp_path).select(["s0", "s1"])
    first = check_cohort(made)
    spoil(tmp_path / "check.parquet")
    with pytest.raises(ScanweaveError, match=r"check\.parquet: .*cohort check"):
        verdicts(made)
    assert check_cohort(made) == verdicts(made) == first


def test_verdicts_of_another_version_are_made_anew(tmp_path):
    made = cohort(tmp_path).select(["s0", "s1"])
    first, path = check_cohort(made), tmp_path / "check.parquet"
    pq.write_table(pq.read_table(path).replace_schema_metadata({"format": "0"}), path)
    assert verdicts(made) == first


def test_repairs_are_made_when_voxels_are_read():
    data = image("t1", 0)
    data[3, 4, 5] = np.nan
    mended = repaired(Study("s", "p", {"t1": Scan.of(data, GRID), "t2": Scan.of(data[..., None], GRID)}))
    for scan in mended.scans.values():
        assert scan.frames is None
        assert scan.data.shape == data.shape
        assert scan.data[3, 4, 5] == np.nanmin(data)
    assert np.isnan(data[3, 4, 5])
    data[:6] = np.inf
    with pytest.raises(ScanweaveError, match="NaN or infinite"):
        _ = repaired(Study("s", "p", {"t1": Scan.of(data, GRID)})).scans["t1"].data


def test_slices_that_show_little_are_no_copies_of_each_other():
    one, other = np.zeros((64, 64, 1), np.float32), np.zeros((64, 64, 1), np.float32)
    one[30, 30], other[31, 32] = 1, 2
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one) == fingerprint(one.copy())


def test_a_label_map_of_several_frames_is_refused(tmp_path):
    write(tmp_path / "t1.nii", image("t1", 0))
    write(tmp_path / "m.nii", np.stack([anatomy(0), anatomy(1)], axis=3).astype(np.uint8))
    row = {"study": "s", "patient": "p", "scan:t1": "t1.nii", "mask:lesion": "m.nii"}
    assert [(f.kind, f.status, f.scan) for f in check_study(row, tmp_path).findings] == [
        ("series", "refused", "mask:lesion")
    ]
    assert not check_study(row | {"mask:lesion": "m.nii#1"}, tmp_path).findings


def test_a_position_far_from_any_scanner_is_suspect(tmp_path):
    away = GRID.copy()
    away[1, 3] = 20_000
    verdict = study(tmp_path, t1=(image("t1", 0), away))
    assert [(f.kind, f.status) for f in verdict.findings] == [("position", "suspect")]
    assert "20.08 m from the zero" in str(verdict.findings[0])
