"""Real tables of `SCANWEAVE_DATA` (folder `tabular`) as questions: features, a class for each patient, whose rows."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer

from scanweave.errors import ScanweaveError
from scanweave.studies.course import changes, learn_course
from scanweave.studies.course_settings import CourseSettings


@dataclass(frozen=True, eq=False)
class Question:
    """A table.

    Attributes:
        table: Features.
        target: Classes.
        patients: Whose rows.
        label: For a course: makes the classes of a fold's rows from training rows; else the target is used.
    """

    table: pd.DataFrame
    target: np.ndarray
    patients: np.ndarray
    label: Callable[[np.ndarray], np.ndarray] | None = None


def folder() -> Path:
    """The tables' folder.

    Raises:
        ScanweaveError: `SCANWEAVE_DATA` names none.
    """
    path = Path(os.environ.get("SCANWEAVE_DATA", "")) / "tabular"
    if not path.is_dir():
        raise ScanweaveError("SCANWEAVE_DATA", "names no folder with tabular/", "Set it to the folder of real data")
    return path


def breast_cancer() -> Question:
    """A ceiling that ships with scikit-learn, cut to 120 patients for the smoke tier."""
    found = load_breast_cancer(as_frame=True)
    rows = np.arange(0, len(found.data), 5)
    return _question(found.data.iloc[rows, :8], found.target.iloc[rows].to_numpy(), rows)


def pbc_stage() -> Question:
    """Histologic stage 1-2, 3 or 4 at the first visit, without what is known at the end of the trial."""
    table = pd.read_csv(folder() / "pbc2.csv.gz").sort_values("year").drop_duplicates("id")
    target = table["histologic"].map({1: "1-2", 2: "1-2", 3: "3", 4: "4"}).to_numpy()
    return _question(
        table.drop(columns=["sno.", "id", "years", "status", "status2", "year", "histologic"]), target, table["id"]
    )


def pbc_course() -> Question:
    """Bilirubin in the second year over that of the first visit: limits of the placebo patients that train."""
    table = pd.read_csv(folder() / "pbc2.csv.gz").rename(columns={"id": "patient"})
    table["study"] = np.arange(len(table)).astype(str)
    settings = CourseSettings(of="serBilir", earliest=0.5, latest=2.5, change="ratio", controls="drug=placebo")
    found = changes(table, "serBilir", "year", settings)
    first = table.set_index("study").loc[found["study"]]
    control = (first["drug"] == "placebo").to_numpy()

    def label(training: np.ndarray) -> np.ndarray:
        rule = learn_course(found[training], pd.Series(control[training]), settings)
        return rule.label(found["change"]).to_numpy()

    features = first.drop(columns=["sno.", "patient", "years", "status", "status2", "year"])
    return _question(features, label(np.ones(len(found), dtype=bool)), found["patient"], label)


def framingham() -> Question:
    """Cardiovascular event, death without one, or neither within 10 years of the first exam."""
    table = pd.read_csv(folder() / "framingham.csv.gz").query("PERIOD == 1 and PREVCHD == 0 and PREVSTRK == 0")
    event = (table["CVD"] == 1) & (table["TIMECVD"] <= 3652)
    death = (table["DEATH"] == 1) & (table["TIMEDTH"] <= 3652) & ~event
    target = np.select([event, death], ["event", "death"], "neither")
    columns = [
        "SEX",
        "TOTCHOL",
        "AGE",
        "SYSBP",
        "DIABP",
        "CURSMOKE",
        "CIGPDAY",
        "BMI",
        "DIABETES",
        "BPMEDS",
        "HEARTRTE",
        "GLUCOSE",
        "educ",
        "PREVHYP",
    ]
    return _question(table[columns], target, table["RANDID"])


def support2() -> Question:
    """Function two months after admission: none lost, lost or in coma, or dead."""
    table = pd.read_csv(folder() / "support2.csv.gz", skipinitialspace=True)
    table = table[table["sfdm2"].notna()]
    target = table["sfdm2"].map(
        lambda words: "none" if words.startswith("no(") else "dead" if words.startswith("<2") else "lost"
    )
    later = ["sno", "death", "hospdead", "slos", "d.time", "charges", "totcst", "totmcst", "avtisst", "sfdm2", "adlp",
             "adls", "adlsc", "surv2m", "surv6m", "prg2m", "prg6m", "dnr", "dnrday", "sps", "aps"]  # fmt: skip
    return _question(table.drop(columns=later), target.to_numpy(), table["sno"])


def parkinsons() -> Question:
    """Rise of the motor UPDRS beyond its median, of each recording after the first, from voice; 42 patients."""
    table = pd.read_csv(folder() / "parkinsons_updrs.data.gz", sep=None, engine="python").sort_values(
        ["subject#", "test_time"]
    )
    start = table.groupby("subject#")["motor_UPDRS"].transform("first")
    rise = table["motor_UPDRS"] - start
    rows = (table["test_time"] > 150).to_numpy()
    target = np.where(rise > rise[rows].median(), "worse", "not worse")
    drop = ["subject#", "test_time", "motor_UPDRS", "total_UPDRS"]
    return _question(table.drop(columns=drop)[rows], target[rows], table["subject#"][rows])


def hepatitis() -> Question:
    """Blood donor, suspect donor, hepatitis, fibrosis or cirrhosis."""
    table = pd.read_csv(folder() / "HepatitisCdata.csv", index_col=0)
    return _question(table.drop(columns="Category"), table["Category"].to_numpy(), np.arange(len(table)))


def ispy2() -> Question:
    """Pathologic complete response, from what is known before treatment."""
    table = pd.read_csv(folder() / "ispy2_breast_modeling.csv")
    columns = [
        "age",
        "r_white",
        "r_black",
        "mask_count",
        "mask_max",
        "HR",
        "MP",
        "HRposHER2neg",
        "HER2pos",
        "TripleNeg",
    ]
    return _question(table[columns], table["pCR"].to_numpy(), table["pid"])


def heart_failure() -> Question:
    """Death during follow-up, without its length."""
    table = pd.read_csv(folder() / "heart_failure_clinical_records_dataset.csv")
    return _question(
        table.drop(columns=["time", "DEATH_EVENT"]), table["DEATH_EVENT"].to_numpy(), np.arange(len(table))
    )


QUESTIONS: dict[str, Callable[[], Question]] = {
    "breast cancer": breast_cancer, "pbc stage": pbc_stage, "pbc course": pbc_course, "framingham": framingham,
    "support2 function": support2, "parkinsons": parkinsons, "hepatitis": hepatitis, "ispy2 response": ispy2,
    "heart failure": heart_failure,
}  # fmt: skip


def _question(
    table: pd.DataFrame, target: np.ndarray, patients: pd.Series | np.ndarray,
    label: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Question:  # fmt: skip
    return Question(table.reset_index(drop=True), np.asarray(target), np.asarray(patients).astype(str), label)
