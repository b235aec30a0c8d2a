"""Real clinical tables import as they are, and the check finds what is known only after the outcome."""

import pytest

from scanweave.studies.layouts import import_cohort
from scanweave.studies.tables.schema import parse_columns, read_schema
from scanweave.studies.tables.table_check import check_table

TABLES = {
    "pbc2.csv.gz": (None, 1945, 312, "year"),
    "framingham.csv.gz": (None, 11627, 4434, "TIME"),
    "support2.csv.gz": (None, 9105, 9105, None),
    "HepatitisCdata.csv": ("Category=label", 615, 615, None),
    "ispy2_breast_modeling.csv": ("pCR=label", 884, 884, None),
    "heart_failure_clinical_records_dataset.csv": ("DEATH_EVENT=label", 299, 299, None),
    "parkinsons_updrs.data.gz": ("subject#=patient", 5875, 42, None),
}

pytestmark = pytest.mark.real


@pytest.mark.parametrize("name", TABLES)
def test_real_table_imports(real_data, tmp_path, name):
    said, studies, patients, time = TABLES[name]
    source = real_data / "tabular" / name
    cohort = import_cohort(source, tmp_path / "c", columns=parse_columns(said), say=lambda line: None)
    assert (len(cohort), len(cohort.patients)) == (studies, patients)
    found = read_schema(cohort.folder).time
    assert (found.source if found else None) == time
    assert next(iter(cohort)).table


def test_survival_that_gives_the_status_away_is_suspected(real_data, tmp_path):
    said = parse_columns("status=label category")
    cohort = import_cohort(real_data / "tabular" / "pbc2.csv.gz", tmp_path / "c", columns=said, say=lambda line: None)
    found = {(verdict.study, finding.kind) for verdict in check_table(cohort) for finding in verdict.findings}
    assert ("table:status2", "leak") in found
