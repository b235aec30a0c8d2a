"""Decimal marks are decided for a whole table, never cell by cell, and asked for where nothing tells."""

import pandas as pd
import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.layouts import import_cohort
from scanweave.studies.tables.decimal_marks import marks_in
from scanweave.studies.tables.schema import parse_columns, read_schema


def brought(tmp_path, text, said=None, name="t.csv"):
    (tmp_path / name).write_text(text)
    lines: list[str] = []
    cohort = import_cohort(tmp_path / name, tmp_path / "cohort", columns=parse_columns(said), say=lines.append)
    return cohort, "\n".join(lines)


def values(cohort, name):
    return cohort.frame[f"table:{name}"].tolist()


TABLES = {
    "another column tells a comma": ("id;tsh;bmi\na;1,037;20,5\nb;2,511;31,2\n", [1.037, 2.511]),
    "another column tells a point": ('id,tsh,bmi\na,"1,037",20.5\nb,"2,511",31.2\n', [1037, 2511]),
    "the separator tells a comma": ("id;tsh\na;1,037\nb;2,511\n", [1.037, 2.511]),
    "quotes among commas tell thousands": ('id,tsh\na,"1,037"\nb,"2,511"\n', [1037, 2511]),
    "a second group tells thousands": ('id;tsh\na;1,037\nb;"2,511,000"\n', [1037, 2511000]),
    "another column tells that points group": ("id;tsh;bmi\na;1.037;20,5\nb;2.511;31,2\n", [1037, 2511]),
    "a zero in front tells": ("id|tsh\na|0,512\nb|1,037\n", [0.512, 1.037]),
    "points alone are decimals": ("id,tsh\na,1.037\nb,2.511\n", [1.037, 2.511]),
    "beyond a limit of detection": ("id;tsh;bmi\na;<1,037;20,5\nb;2,511;31,2\n", [1.037, 2.511]),
    "a column of its own mark": ("id;tsh;bmi\na;1.25;20,5\nb;2.5;31,2\n", [1.25, 2.5]),
    "words are no decimals": ("id;tsh;code\na;1,037;a,b\nb;2,511;c,d\n", [1.037, 2.511]),
}


@pytest.mark.parametrize("name", TABLES)
def test_all_of_a_table_tells(tmp_path, name):
    text, truth = TABLES[name]
    assert values(brought(tmp_path, text)[0], "tsh") == pytest.approx(truth)


DOUBTFUL = {
    "nothing tells, between tabs": ("id\ttsh\na\t1,037\nb\t2,511\n", "t.tsv"),
    "points that could group, between semicolons": ("id;tsh\na;1.037\nb;250.000\n", "t.csv"),
    "the table has both": ("id;tsh;bmi;age\na;1,037;20,5;30.25\nb;2,511;31,2;41.5\n", "t.csv"),
}


@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_nothing_tells_is_asked(tmp_path, name):
    text, file = DOUBTFUL[name]
    with pytest.raises(ScanweaveError, match=r"column 'tsh': numbers such as '1.037' can be read in two ways"):
        brought(tmp_path, text, name=file)
    assert not (tmp_path / "cohort").exists()


@pytest.mark.parametrize("name", DOUBTFUL)
@pytest.mark.parametrize(("said", "times"), [("decimal:comma", ","), ("decimal:point", ".")])
def test_the_answer_is_said_by_columns(tmp_path, name, said, times):
    text, file = DOUBTFUL[name]
    cohort, _ = brought(tmp_path, text, f"tsh=number {said}", file)
    own = text.splitlines()[1][3]
    assert values(cohort, "tsh")[0] == pytest.approx(1.037 if own == times else 1037)


def test_another_mark_is_refused():
    with pytest.raises(ScanweaveError, match="'decimal:dot' is no decimal mark"):
        parse_columns("tsh=number decimal:dot")


def test_the_mark_is_kept_for_new_patients(tmp_path):
    first, _ = brought(tmp_path, "id;tsh;bmi\na;1,037;20,5\nb;2;31,2\n")
    assert {c.source: c.decimal for c in read_schema(first.folder).columns if c.kind == "number"} == {
        "tsh": ",",
        "bmi": ",",
    }
    (tmp_path / "new.tsv").write_text("id\ttsh\nc\t4,102\n")
    new = import_cohort(tmp_path / "new.tsv", tmp_path / "new", like=first.folder, say=lambda line: None)
    assert values(new, "tsh") == pytest.approx([4.102])


def test_a_column_of_words_tells_nothing():
    assert not marks_in(pd.Series(["1,5", "lost", "found", "2.5"])).marks


def test_a_table_of_images_is_read_alike(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.nii.gz").write_bytes(b"")
    text = "case;t1;dose;bmi;n\na;a.nii.gz;1,037;20,5;none\nb;b.nii.gz;2,511;31,2;4\n"
    cohort, told = brought(tmp_path, text)
    assert values(cohort, "dose") == pytest.approx([1.037, 2.511])
    assert cohort.frame["table:n"].isna().tolist() == [True, False]
    assert cohort.frame["table:n"][1] == 4
    assert "dose, bmi: decimal commas read as points" in told
