"""Clinical tables as cohorts: what is inferred, what can be said otherwise, and what the check finds."""

import datetime

import numpy as np
import pandas as pd
import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.checks.cohort_check import check_cohort
from scanweave.studies.cohort import Cohort
from scanweave.studies.layouts import import_cohort
from scanweave.studies.splits import Splits, make_splits, write_splits
from scanweave.studies.tables.schema import parse_columns, read_schema
from scanweave.studies.tables.table_check import check_table


def visits(n=30, seed=0):
    """Three visits of each patient, in no order."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "Patient ID": np.repeat(np.arange(n), 3),
            "year": np.tile([0.0, 1.0, 2.5], n),
            "sex": np.repeat(rng.choice(["m", "f"], n), 3),
            "bilirubin [mg/dl]": rng.exponential(2, 3 * n).round(2),
            "albumin": rng.normal(3.5, 0.4, 3 * n).round(2),
            "stage": np.repeat(np.arange(n) % 3 + 1, 3),
        }
    )
    return frame.sample(frac=1, random_state=seed).reset_index(drop=True)


def cohort_of(tmp_path, frame, columns=None, **options):
    path = tmp_path / "table.csv"
    frame.to_csv(path, index=False)
    lines: list[str] = []
    return import_cohort(path, tmp_path / "cohort", columns=parse_columns(columns), say=lines.append, **options)


def test_visits_are_studies_of_their_patient_in_order_of_time(tmp_path):
    cohort = cohort_of(tmp_path, visits(), "stage=label")
    assert (len(cohort), len(cohort.patients)) == (90, 30)
    study = cohort["7-v03"]
    assert (study.patient, study.table["year"], study.labels) == ("7", 2.5, {"stage": 2})
    assert set(study.table) == {"year", "sex", "bilirubin", "albumin"}
    assert cohort.names("label") == ["stage"]
    schema = read_schema(cohort.folder)
    assert schema.time.source == "year"
    assert next(c for c in schema.columns if c.name == "bilirubin").unit == "mg/dl"


def test_what_is_said_overrules_what_is_inferred(tmp_path):
    said = "Patient ID=-,year=feature,stage=label category,albumin=number g/l,sex=-"
    cohort = cohort_of(tmp_path, visits(), said)
    assert len(cohort.patients) == 90
    assert cohort.names("table") == ["year", "bilirubin", "albumin"]
    assert next(iter(cohort)).labels["stage"] in ("1", "2", "3")
    assert next(c.unit for c in read_schema(cohort.folder).columns if c.name == "albumin") == "g/l"


def test_a_heading_with_a_comma_is_named_in_quotes(tmp_path):
    frame = visits().rename(columns={"albumin": "albumin, serum"})
    cohort = cohort_of(tmp_path, frame, '"albumin, serum"=number g/l, stage=label')
    column = next(c for c in read_schema(cohort.folder).columns if c.source == "albumin, serum")
    assert (column.unit, cohort.names("label")) == ("g/l", ["stage"])


def test_what_is_missing_is_absent(tmp_path):
    frame = visits().assign(albumin=lambda table: table["albumin"].mask(table["year"] > 0))
    study = cohort_of(tmp_path, frame)["3-v02"]
    assert "albumin" not in study.table


def test_dates_are_dates(tmp_path):
    frame = visits(6).assign(year=lambda table: pd.Timestamp("2020-03-01") + pd.to_timedelta(365 * table["year"], "D"))
    cohort = cohort_of(tmp_path, frame.rename(columns={"year": "visit date"}))
    assert cohort["0-v01"].table["visit_date"].date() == datetime.date(2020, 3, 1)


def test_check_of_the_studies_needs_no_images(tmp_path):
    assert {verdict.status for verdict in check_cohort(cohort_of(tmp_path, visits(4)))} == {"ok"}


def test_a_table_of_images_is_still_one(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(b"")
    (tmp_path / "table.csv").write_text("case,t1,age\na,a.nii.gz,31\n")
    cohort = import_cohort(tmp_path / "table.csv", tmp_path / "cohort", say=lambda line: None)
    assert cohort.names("scan") == ["t1"]


def test_options_for_images_are_refused(tmp_path):
    with pytest.raises(ScanweaveError, match="are for images"):
        cohort_of(tmp_path, visits(4), patient="^.")


def told_like(tmp_path, text, like, **options):
    path, lines = tmp_path / "new.csv", []
    path.write_text(text)
    return import_cohort(path, tmp_path / "new", like=like.folder, say=lines.append, **options), "\n".join(lines)


class TestNewPatients:
    """A table of other patients, perhaps of one, has the columns of the table that was learnt from."""

    known = "Patient ID,year,sex,bilirubin [mg/dl],albumin,stage\n"

    def test_kinds_are_those_that_are_known(self, tmp_path):
        first = cohort_of(tmp_path, visits(), "stage=label category,albumin=number missing:9")
        new, told = told_like(tmp_path, self.known + "900,0,F,hoch,3.5,\n901,0,m,2,9,\n", first)
        assert (new["900"].table["sex"], new["900"].table["albumin"]) == ("f", 3.5)
        assert "bilirubin" not in new["900"].table
        assert "albumin" not in new["901"].table
        assert "1 cells count as missing: 'hoch'" in told
        assert [(c.name, c.unit) for c in read_schema(new.folder).columns if c.unit] == [("bilirubin", "mg/dl")]

    def test_absent_and_strange_headings_are_told(self, tmp_path):
        first = cohort_of(tmp_path, visits(), "stage=label")
        new, told = told_like(tmp_path, "Patient ID,year,sex,bilirubin,albumin,site\n1,0,m,2,3,x\n", first)
        assert "absent: 'bilirubin [mg/dl]': is it the column 'bilirubin'?" in told
        assert "absent: 'stage'" not in told  # which is what shall be answered
        assert new.names("table") == ["year", "sex", "albumin"]

    def test_what_is_said_comes_first_and_the_rest_stays(self, tmp_path):
        first = cohort_of(tmp_path, visits(), "stage=label category")
        said = parse_columns("bilirubin=feature number,stage=missing:9")
        new, told = told_like(tmp_path, "Patient ID,bilirubin,stage\n1,2,9\n2,3,1\n", first, columns=said)
        assert new["1"].table == {"bilirubin": 2}
        assert (new["1"].labels, new["2"].labels) == ({}, {"stage": "1"})
        assert "name one by" not in told

    @pytest.mark.parametrize("cells", [("3,512", "2.610", "1,234"), ("3.512", "2,610", "1.234")])
    def test_decimals_are_those_that_are_known(self, tmp_path, cells):
        """`3,512` alone does not tell whether it is three or three thousand."""
        comma = cells[0] == "3,512"
        text = "id;x\n" + "".join(f"p{i};{i}{',' if comma else '.'}5\n" for i in range(9))
        (tmp_path / "first.csv").write_text(text)
        first = import_cohort(tmp_path / "first.csv", tmp_path / "first", say=lambda line: None)
        new, _ = told_like(tmp_path, "id;x\n" + "".join(f"n{i};{c}\n" for i, c in enumerate(cells)), first)
        assert [new[f"n{i}"].table["x"] for i in range(3)] == pytest.approx([3.512, 2610, 1.234])

    def test_order_of_dates_is_that_which_is_known(self, tmp_path):
        first = "id,seen,x\n" + "".join(f"p{i},{13 + i}/04/2020,{i}\n" for i in range(9))
        (tmp_path / "first.csv").write_text(first)
        cohort = import_cohort(tmp_path / "first.csv", tmp_path / "first", say=lambda line: None)
        new, _ = told_like(tmp_path, "id,seen,other\nn,03/04/2020,05/06/2020\n", cohort)
        assert new["n"].table["seen"].date() == datetime.date(2020, 4, 3)

    def test_names_are_those_that_are_known(self, tmp_path):
        (tmp_path / "first.csv").write_text("id,CRP,crp,Shimmer,Shimmer(dB)\n" + "p,1,2,3,4\nq,2,3,4,5\nr,3,4,5,7\n")
        first = import_cohort(tmp_path / "first.csv", tmp_path / "first", say=lambda line: None)
        known = {c.source: c.name for c in read_schema(first.folder).columns}
        new, _ = told_like(tmp_path, "shimmer,crp,id,CRP,Shimmer(dB)\n9,2,n,1,4\n", first)
        assert new["n"].table == {known["crp"]: 2, known["CRP"]: 1, known["Shimmer(dB)"]: 4}

    def test_categories_are_the_same_however_they_are_written(self, tmp_path):
        (tmp_path / "first.csv").write_text(
            "id,code,on\n" + "".join(f"p{i},{i % 3},{'TRUE' if i % 2 else 'FALSE'}\n" for i in range(9))
        )
        said = parse_columns("code=category,on=category")
        first = import_cohort(tmp_path / "first.csv", tmp_path / "first", columns=said, say=lambda line: None)
        pd.DataFrame({"id": ["n", "m"], "code": [1.0, None], "on": [True, False]}).to_parquet(tmp_path / "new.parquet")
        new = import_cohort(tmp_path / "new.parquet", tmp_path / "new", like=str(first.folder), say=lambda line: None)
        assert new["n"].table == {"code": "1", "on": first["p1"].table["on"]}

    def test_rows_of_two_files_are_two_patients(self, tmp_path):
        first = cohort_of(tmp_path, planted(), "outcome=label,id=-")
        new, _ = told_like(tmp_path, "x0,x1\n1,2\n", first)
        assert not set(new.patients) & set(first.patients)

    def test_another_unit_is_refused(self, tmp_path):
        first = cohort_of(tmp_path, visits(), "stage=label")
        words = r"'bilirubin \[umol/l\]': is in umol/l, the run or cohort has it in mg/dl"
        with pytest.raises(ScanweaveError, match=words):
            told_like(tmp_path, "Patient ID,year,bilirubin [umol/l]\n1,0,40\n", first)

    def test_a_folder_without_a_schema_is_refused(self, tmp_path):
        first = cohort_of(tmp_path, visits(), "stage=label")
        (first.folder / "table.json").unlink()
        with pytest.raises(ScanweaveError, match=r"--like: .* holds no table\.json"):
            told_like(tmp_path, "Patient ID,year\n1,0\n", first)


def findings(cohort):
    return {
        (verdict.study, finding.kind): str(finding) for verdict in check_table(cohort) for finding in verdict.findings
    }


def planted(n=60, seed=0):
    rng = np.random.default_rng(seed)
    outcome = np.arange(n) % 2
    return pd.DataFrame(
        {
            "id": [f"p{i:03d}" for i in range(n)],
            "outcome": outcome,
            **{f"x{k}": rng.normal(size=n).round(3) for k in range(5)},
        }
    )


PLANTED = {
    "leak of numbers": (lambda t: t.assign(days=t["outcome"] * 9 + t["x0"]), ("table:days", "leak")),
    "leak of categories": (
        lambda t: t.assign(fate=np.where(t["outcome"] == 1, "dead", "alive")),
        ("table:fate", "leak"),
    ),
    "leak of gaps": (lambda t: t.assign(autopsy=t["x0"].where(t["outcome"] == 1)), ("table:autopsy", "leak")),
    "constant": (lambda t: t.assign(site=7), ("table:site", "constant")),
    "copy": (lambda t: t.assign(twice=t["x1"] * 2 + 3), ("table:twice", "copy")),
    "numbers of rows": (lambda t: t.assign(n=np.random.default_rng(1).permutation(len(t))), ("table:n", "identifier")),
    "leak of codes": (
        lambda t: t.assign(code=t["outcome"].map({0: 5, 1: 3}) + 4 * (t.index % 3 == 0)),
        ("table:code", "leak"),
    ),
    "other numbers in each row": (lambda t: t.assign(n=7919 * np.arange(len(t)) % 99991), ("table:n", "identifier")),
    "end of a study by its name": (lambda t: t.assign(status2=t.index % 3), ("table:status2", "later")),
    "questions of the import": (lambda t: t.assign(crp=[-999, *range(len(t) - 1)]), ("table:crp", "import")),
    "rare class": (lambda t: t.assign(outcome=[2, 2, *t["outcome"][2:]]), ("label:outcome", "rare")),
    "one class": (lambda t: t.assign(outcome=1), ("label:outcome", "one class")),
    "label of names": (lambda t: t.assign(outcome=[f"o{i}" for i in range(len(t))]), ("label:outcome", "identifier")),
    "one patient twice": (lambda t: pd.concat([t, t.head(1).assign(id="q999")]), ("p000", "twin")),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_fault_is_found(tmp_path, name):
    change, where = PLANTED[name]
    cohort = cohort_of(tmp_path, change(planted()), "outcome=label" + (" category" if name == "label of names" else ""))
    assert where in findings(cohort)


@pytest.mark.parametrize(
    ("rare", "words"),
    [
        ([0, 0], "the value 0 is in 2 studies only"),
        ([0.5], "the value 0.5 is in 1 study only"),
        (["low"], "the value 'low' is in 1 study only"),
    ],
)
def test_a_rare_value_is_told_as_it_is_written(tmp_path, rare, words):
    values = [*rare, *((["high", "mid"] if rare == ["low"] else [1, 2]) * 30)][:60]
    cohort = cohort_of(tmp_path, planted(60).assign(outcome=values), "outcome=label")
    assert words in findings(cohort)["label:outcome", "rare"]


def test_sound_table_has_no_findings(tmp_path):
    assert findings(cohort_of(tmp_path, planted(), "outcome=label")) == {}


def test_dates_after_the_visit_are_found(tmp_path):
    frame = visits(10).rename(columns={"year": "visit date"})
    day = pd.Timestamp("2020-03-01") + pd.to_timedelta((365 * frame["visit date"]).astype(int), "D")
    cohort = cohort_of(tmp_path, frame.assign(**{"visit date": day, "discharge": day + pd.Timedelta(9, "D")}))
    assert ("table:discharge", "later") in findings(cohort)


def test_folds_of_one_class_and_unseen_categories_are_found(tmp_path):
    frame = planted(40).assign(site=lambda t: np.where(t["outcome"] == 1, "a", "b"))
    cohort = cohort_of(tmp_path, frame, "outcome=label")
    ones = {f"p{i:03d}": i % 2 for i in range(40)}
    write_splits(cohort.folder, Splits(2, False, 0, ones))
    found = {verdict.study: " ".join(map(str, verdict.findings)) for verdict in check_table(cohort)}
    assert "its train part holds one class of outcome only" in found["fold 0"]
    assert "site is 'b' in no training patient" in found["fold 0"]


def test_class_without_a_training_patient_is_found(tmp_path):
    frame = planted(60).assign(outcome=np.repeat([0, 1, 2], 20))
    cohort = cohort_of(tmp_path, frame, "outcome=label category")
    write_splits(cohort.folder, Splits(3, True, 0, {f"p{i:03d}": i // 20 for i in range(60)}))
    found = {verdict.study: " ".join(map(str, verdict.findings)) for verdict in check_table(cohort)}
    assert "one class" in found["fold 0"]
    assignment = {f"p{i:03d}": min(i // 20, 1) if i % 2 else i // 20 for i in range(60)}
    write_splits(cohort.folder, Splits(3, True, 0, assignment), again=True)
    found = {verdict.study: " ".join(map(str, verdict.findings)) for verdict in check_table(cohort)}
    assert any("no training patient has outcome" in words for words in found.values())


def test_splits_that_part_one_patient_are_named(tmp_path):
    frame = pd.concat([planted(), planted().head(1).assign(id="q999")])
    cohort = cohort_of(tmp_path, frame, "outcome=label")
    splits = make_splits(cohort.patients)
    write_splits(cohort.folder, Splits(5, True, 0, {**splits.assignment, "p000": 0, "q999": 1}))
    assert "splits part them" in findings(Cohort.open(cohort.folder))["p000", "twin"]
