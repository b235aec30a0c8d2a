"""Tables as they come: each is refused in one line that says what to do, or mended, and then the line says how."""

import gzip
import io
import zipfile

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scanweave.errors import ScanweaveError
from scanweave.studies.formats import header_limits
from scanweave.studies.tables.schema import parse_columns
from scanweave.studies.tables.table_import import import_table

ROWS = [
    ("a", 31, "m", 1.5),
    ("b", 42, "f", 2.5),
    ("c", 53, "m", 0.7),
    ("d", 64, "f", 3.9),
    ("e", 75, "m", 2.2),
    ("f", 36, "f", 1.1),
]


def csv(rows=ROWS, header=("id", "age", "sex", "bili"), separator=",", line="\n"):
    return line.join(separator.join(map(str, row)) for row in [header, *rows]) + line


def with_cells(column, cells, header="value"):
    """The good table with another column, repeated to the length of the cells."""
    names = [f"p{number}" for number in range(len(cells))]
    pairs = enumerate(zip(names, cells, strict=True))
    rows = [f"{name},{30 + number * 7 % 41},{cell}" for number, (name, cell) in pairs]
    return f"id,age,{header}\n" + "\n".join(rows) + "\n", column


def excel(*sheets):
    stream = io.BytesIO()
    with pd.ExcelWriter(stream, engine="openpyxl") as book:
        for number, frame in enumerate(sheets):
            frame.to_excel(book, sheet_name=f"S{number}", index=False)
    return stream.getvalue()


def torn_inside(book):
    """The workbook with a sheet that ends in the middle."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as whole, zipfile.ZipFile(stream, "w") as torn:
        for name in whole.namelist():
            part = whole.read(name)
            torn.writestr(name, part[: len(part) // 2] if "sheet1" in name else part)
    return stream.getvalue()


def parquet(table):
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


FRAME = pd.DataFrame(ROWS, columns=["id", "age", "sex", "bili"])
SPOILT = gzip.compress(csv().encode())
SPOILT = SPOILT[:20] + b"\xff\xff\xff" + SPOILT[23:]
QUOTED = "id,age\n" + "\n".join(f'"{name},{name}",1' for name in "abcdef")
REFUSED = {
    "empty: nothing": ("t.csv", b"", "is empty"),
    "empty: blanks": ("t.csv", b" \n\n ", "is empty"),
    "empty: headings only": ("t.csv", b"id,age\n", "no rows below"),
    "empty: rows of nothing": ("t.csv", b"id,age\n,\n,\n", "no rows below"),
    "empty: parquet": ("t.parquet", parquet(pa.table({"id": pa.array([], pa.string())})), "no rows below"),
    "binary: zero bytes": ("t.csv", b"id,age\na,\x001\n", "zero bytes"),
    "binary: image": ("t.csv", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "zero bytes"),
    "binary: not parquet": ("t.parquet", b"id,age\na,1\n", "not a readable Parquet file"),
    "binary: torn parquet": ("t.parquet", parquet(pa.table({"id": ["a"]}))[:-9], "not a readable Parquet file"),
    "binary: not excel": ("t.xlsx", b"id,age\na,1\n", "not a readable Excel file"),
    "binary: torn gzip": ("t.csv.gz", gzip.compress(csv().encode())[:-12], "cannot be read"),
    "binary: spoilt gzip": ("t.csv.gz", SPOILT, "cannot be read"),
    "binary: spoilt excel": ("t.xlsx", torn_inside(excel(FRAME)), "not a readable Excel file"),
    "binary: not gzip": ("t.csv.gz", csv().encode(), "cannot be read"),
    "suffix: unknown": ("t.doc", b"$FL2", "is no table that can be read"),
    "suffix: none": ("table", csv().encode(), "is no table that can be read"),
    "headings: twice": ("t.csv", b"id,age,age\na,1,2\n", "two columns are headed 'age'"),
    "headings: twice but for blanks": ("t.csv", b"id,age, age\na,1,2\n", "two columns are headed 'age'"),
    "headings: none": ("t.csv", b"1,31,2.5\n2,42,0.7\n", "numbers, not headings"),
    "headings: below a title": (
        "t.xlsx",
        excel(pd.DataFrame({"My study": ["id", "a"], "Unnamed: 1": ["age", 1], "Unnamed: 2": ["x", 2]})),
        "no headings",
    ),
    "ragged: more cells than headings": ("t.csv", b"id,age\na,1\nb,1,2\n", "row 3 has more cells"),
    "ragged: decimal commas between commas": ("t.csv", b"id,age\na,1,5\n", "row 2 has more cells"),
    "sheets: several": ("t.xlsx", excel(FRAME, FRAME), "has the sheets S0, S1"),
    "nested: lists": ("t.parquet", parquet(pa.table({"id": ["a"], "x": [[1, 2]]})), "column 'x' holds lists"),
    "nested: records": ("t.parquet", parquet(pa.table({"id": ["a"], "x": [{"y": 1}]})), "column 'x' holds lists"),
    "patients: one without a name": ("t.csv", b"patient,age\na,1\n,2\nb,3\n", "row 3 has no patient"),
    "studies: twice": ("t.csv", b"patient,study,age\na,s,1\na,s,2\n", "does not name each row once"),
    "dates: two ways": ("t.csv", b"id,seen\na,03/04/2020\nb,05/06/2020\nc,07/08/2020\n", "can be read in two ways"),
    "dates: contradictory": (
        "t.csv",
        b"id,seen\na,13/04/2020\nb,05/26/2020\nc,07/08/2020\n",
        "can be read in two ways",
    ),
    "split: strange words": ("t.csv", b"id,age,split\na,1,trian\nb,2,test\n", "says trian", "split=split"),
    "split: gaps": ("t.csv", b"id,age,split\na,1,\nb,2,test\n", "says nothing", "split=split"),
    "said: no such heading": ("t.csv", csv().encode(), "no column 'bilirubin'", "bilirubin=number"),
    "said: not a number": ("t.csv", csv().encode(), "does not hold numbers, such as 'm'", "sex=number"),
    "said: not a date": ("t.csv", csv().encode(), "does not hold dates", "sex=date"),
    "said: two patients": ("t.csv", csv().encode(), "are both patient", "id=patient,age=patient"),
    "said: no value that is missing": ("t.csv", csv().encode(), "'missing:' names no value", "bili=missing:"),
    "said: patients that are missing": ("t.csv", csv().encode(), "names who a row is of", "id=patient missing:a"),
    "said: a word nearly right": (
        "t.csv",
        csv().encode(),
        "'lable' is no role or kind. Did you mean label?",
        "sex=lable",
    ),
    "said: no words": ("t.csv", csv().encode(), "is not HEADING=WORDS", "id"),
    "said: a strange word": (
        "t.csv",
        csv().encode(),
        "'outcome' means nothing. Words are patient, study, time, label, split, feature, -, number, category,",
        "sex=label outcome",
    ),
    "said: quote not closed": ("t.csv", csv().encode(), "is not HEADING=WORDS", '"id=patient,age=number'),
}
MENDED = {
    "coding: BOM": ("t.csv", b"\xef\xbb\xbf" + csv().encode(), "id: patient"),
    "coding: UTF-16": ("t.csv", csv().encode("utf-16"), "id: patient"),
    "coding: Windows": ("t.csv", csv(header=("id", "age", "sex", "Größe")).encode("cp1252"), "read as Windows-1252"),
    "lines: of Windows": ("t.csv", csv(line="\r\n").encode(), "sex: feature · category · f, m"),
    "lines: a blank one first": ("t.csv", b"\n" + csv(separator=";").encode(), "sex: feature · category · f, m"),
    "lines: blank ones": ("t.csv", csv(line="\n\n").encode(), "6 studies of 6 patients"),
    "lines: quoted break": ("t.csv", b'id,age,note\na,1,"x\ny"\nb,2,z\nc,3,z\n', "3 studies of 3 patients"),
    "quotes: commas in names": ("t.csv", QUOTED.encode(), "6 studies of 6 patients"),
    "separator: semicolon and decimal comma": (
        "t.csv",
        csv(separator=";").replace(".", ",").encode(),
        "decimal commas read as points",
    ),
    "separator: tab": ("t.tsv", csv(separator="\t").encode(), "bili: feature · number"),
    "separator: bar": ("t.txt", csv(separator="|").encode(), "bili: feature · number"),
    "ragged: fewer cells": ("t.csv", b"id,age,x\na,1\nb,2,3\nc,4,5\n", "1 rows have fewer cells"),
    "packed": ("t.csv.gz", gzip.compress(csv().encode()), "6 studies of 6 patients"),
    "excel": ("t.xlsx", excel(FRAME), "sex: feature · category · f, m"),
    "parquet": ("t.parquet", parquet(pa.Table.from_pandas(FRAME)), "age: feature · number"),
    "numbers: thousands": ("t.csv", b'id,x\na,"1,234"\nb,"2,345,678"\nc,"9"\n', "commas between thousands taken out"),
    "numbers: thousands of Germany": (
        "t.csv",
        csv(separator=";").replace(".", ",").replace("2,5", "2.610,5").encode(),
        "bili: feature · number · points between thousands taken out",
    ),
    "numbers: thousands of Germany alone": (
        "t.csv",
        csv(separator=";")
        .replace("1.5", "1.234,5")
        .replace(".7", ".007,7")
        .replace("0.0", "1.0")
        .encode()
        .replace(b"2.5", b"2.345,5")
        .replace(b"3.9", b"9.876,5")
        .replace(b"2.2", b"2.2")
        .replace(b";2.2", b";2.222,2")
        .replace(b";1.1", b";1.111,1"),
        "bili: feature · number · points between thousands taken out",
    ),
    "numbers: many cells are none": (
        "t.csv",
        with_cells("x", [*range(9), "hoch", "hoch"])[0].encode(),
        "look at value: numbers but for some cells",
    ),
    "numbers: said in spite of some cells": (
        "t.csv",
        with_cells("x", [*range(9), "hoch", "hoch"])[0].encode(),
        "2 cells count as missing: 'hoch'",
        "value=number",
    ),
    "numbers: limits of detection": (
        "t.csv",
        with_cells("x", ["<0.1", "0.4", "> 90", "3"])[0].encode(),
        "2 beyond a limit of detection, such as '<0.1'",
    ),
    "numbers: limits among decimal commas": (
        "t.csv",
        b"id;x\na;3,04\nb;<0,3\nc;1,5\n",
        "1 beyond a limit of detection, such as '<0,3'",
    ),
    "numbers: stray words": (
        "t.csv",
        with_cells("x", [*range(60), "lost"])[0].encode(),
        "1 cells count as missing: 'lost'",
    ),
    "numbers: infinity": (
        "t.parquet",
        parquet(pa.table({"id": list("abc"), "x": [1.0, float("inf"), 2.0]})),
        "1 infinite values count as missing",
    ),
    "numbers: stand-ins": ("t.csv", with_cells("x", [1, 2, 3, 2, -999])[0].encode(), "1 × -999 may stand for missing"),
    "numbers: leading zeros are names": (
        "t.csv",
        with_cells("x", ["007", "008", "007", "010"])[0].encode(),
        "category · 007, 008, 010",
    ),
    "missing: many words": (
        "t.csv",
        with_cells("x", ["NA", "n/a", ".", "?", "null", "7", "8"])[0].encode(),
        "5 missing",
    ),
    "missing: all of a column": ("t.csv", with_cells("x", ["", "NA", "."])[0].encode(), "value: left out · empty"),
    "missing: said": (
        "t.csv",
        with_cells("x", [1, 2, "-999.0", 2, -999])[0].encode(),
        "value: feature · number · 2 missing · 2 × -999 count as missing",
        "value=missing:-999",
    ),
    "categories: the word none": (
        "t.csv",
        with_cells("x", ["none", "mild", "none", "severe", "mild"])[0].encode(),
        "value: feature · category · mild, none, severe",
    ),
    "categories: two ages": (
        "t.csv",
        with_cells("x", ["<65", ">=65", "<65", ">=65"])[0].encode(),
        "value: feature · category · <65, >=65",
    ),
    "categories: said of genotypes": (
        "t.csv",
        with_cells("x", ["Aa", "aa", "AA", "Aa"])[0].encode(),
        "value: feature · category · AA, Aa, aa",
        "value=category",
    ),
    "categories: capitals": (
        "t.csv",
        with_cells("x", ["Male", "male", "Female", "male "])[0].encode(),
        "1 spellings that differ in capitals only",
    ),
    "categories: free text": (
        "t.csv",
        with_cells("x", [f"note {i % 90}" for i in range(100)])[0].encode(),
        "value: left out · text",
    ),
    "identifiers: names": (
        "t.csv",
        with_cells("x", [f"n{i}x" for i in range(9)])[0].encode(),
        "value: left out · identifier",
    ),
    "identifiers: numbered rows": (
        "t.csv",
        with_cells("x", list(range(1, 13)))[0].encode(),
        "value: left out · number",
    ),
    "patients: no column": ("t.csv", b"age,x\n1,2\n3,4\n", "no column names the patients"),
    "patients: names that are no file names": ("t.csv", b"id,x\n../a,2\nb/c,4\n", "2 studies of 2 patients"),
    "patients: long numbers": ("t.csv", b"id,x\n9007199254740993,2\n9007199254740992,4\n", "2 studies of 2 patients"),
    "patients: like powers of ten": ("t.csv", b"id,x\n1E2,2\n100,4\n", "2 studies of 2 patients"),
    "patients: capitals": ("t.csv", b"id,x\np1a,2\np1A,4\n", "2 studies of 2 patients"),
    "patients: formulas": ("t.csv", b"id,x\n=cmd(),2\nb,4\n", "2 studies of 2 patients"),
    "headings: none of one column": ("t.csv", b",id,x\n1,a,2\n2,b,4\n", "(no heading): left out"),
    "headings: alike when shortened": ("t.csv", b"id,Shimmer,Shimmer(dB)\na,1,2\nb,3,4\n", "Shimmer(dB): feature"),
    "headings: reserved words": ("t.csv", b"id,report,boxes\na,1,2\nb,3,4\n", "report: feature · number"),
    "dates: day first by its values": (
        "t.csv",
        b"id,seen\na,13/04/2020\nb,05/06/2020\nc,07/08/2020\n",
        "seen: feature · date",
    ),
    "dates: of the visit, perhaps": (
        "t.csv",
        b"id,seen\na,13/04/2020\nb,05/06/2020\nc,07/08/2020\n",
        "is it 'seen'? Then say --columns 'seen=time'",
    ),
    "dates: said": (
        "t.csv",
        b"id,seen\na,03/04/2020\nb,05/06/2020\nc,07/08/2020\n",
        "seen: feature · date",
        "seen=date mdy",
    ),
    "dates: impossible ones": (
        "t.csv",
        with_cells("x", [*["2020-02-01"] * 30, "2020-02-31"], "seen")[0].encode(),
        "1 cells count as missing",
    ),
    "label: not named": ("t.csv", csv().encode(), "no label: name one by"),
}


def bring(tmp_path, name, content, said=None):
    path = tmp_path / name
    path.write_bytes(content)
    lines: list[str] = []
    cohort = import_table(path, tmp_path / "cohort", columns=parse_columns(said), say=lines.append)
    return cohort, "\n".join(lines)


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_in_one_line(tmp_path, kind):
    name, content, words, *said = REFUSED[kind]
    with pytest.raises(ScanweaveError) as caught:
        bring(tmp_path, name, content, *said)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cohort").exists()


@pytest.mark.parametrize("kind", MENDED)
def test_mended_and_told(tmp_path, kind):
    name, content, words, *said = MENDED[kind]
    cohort, told = bring(tmp_path, name, content, *said)
    assert words in told
    assert len(cohort) == len(list(cohort))  # every study opens


def test_there_are_enough_of_them():
    assert len(REFUSED) + len(MENDED) >= 40
    assert len({kind.partition(":")[0] for kind in [*REFUSED, *MENDED]}) >= 15


def test_a_run_is_no_place_for_a_cohort(tmp_path):
    (tmp_path / "cohort").mkdir()
    (tmp_path / "cohort" / "run.json").write_text("{}")
    with pytest.raises(ScanweaveError, match="holds a run"):
        bring(tmp_path, "t.csv", csv().encode())
    assert [path.name for path in (tmp_path / "cohort").iterdir()] == ["run.json"]


def test_unpacked_giants_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(header_limits, "MEMORY_BUDGET", 6 * 2**20)
    with pytest.raises(ScanweaveError, match="more than the 1 MiB of memory"):
        bring(tmp_path, "t.csv.gz", gzip.compress(b"id,x\n" + b"a,1\n" * 2**19))
