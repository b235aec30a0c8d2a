"""The folder that predictions are written to: a study at a time, whole or not at all; a stopped call goes on in it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import scanweave
from scanweave.engine.image_states import states_digest
from scanweave.errors import ScanweaveError
from scanweave.files import (
    HeldFolder,
    atomic_folder,
    file_sha256,
    read_json,
    real_path,
    sweep,
    write_json,
    writing,
)
from scanweave.spreadsheet_cells import write_csv
from scanweave.studies.columns import WHO, columns_of

if TYPE_CHECKING:
    from scanweave.engine.run import Run
    from scanweave.framework.exporting.exported_run import FileAsRun
    from scanweave.studies.cohort import Cohort
    from scanweave.studies.study import Study

MARK, ANSWERS, TABLE = "predictions.json", "answers.jsonl", "predictions.csv"
"""Files of the folder: the question; a line for each study that is done; labels and boxes as a table."""
_ASKED = {
    "weights": "by other weights",
    "cohort": "of another cohort, or of other studies of it,",
    "images": "of images that changed since",
    "targets": "of other targets",
}
_ELSEWHERE = "Choose another folder for the predictions"


class Plan(Protocol):
    """Names of what a run makes, and of what it makes them."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of what it can make."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Columns of the manifest that it makes them of: `scan:t1`, `sinogram:ct`, `table:age`."""


class PredictionFolder:
    """`out/<study>/` with the files of each study, `predictions.csv` of labels, and at the end a cohort of them.

    Args:
        out: Where it is, or will be.
        run: What predicts.
        plan: What it makes of what.
    """

    def __init__(self, out: Path, run: Run | FileAsRun, plan: Plan) -> None:
        self.out, self.run, self.plan = out, run, plan
        self.again: list[str] = []
        """Studies whose files lay there, of a call that was killed before it noted them, and were written again."""

    def request(self, cohort: Cohort, targets: Sequence[str] | None) -> dict[str, Any]:
        """Return what is asked for, in the terms of `predictions.json`; change nothing.

        Raises:
            ScanweaveError: The folder holds something else.
        """
        there = [one.heading for one in columns_of(self.plan.sources) if one.kind.files and one.heading in cohort.frame]
        asked = {
            "weights": self._weights,
            "cohort": cohort.digest,
            "images": states_digest(cohort, there),
            "targets": None if targets is None else sorted(set(targets)),
        }
        if self.out.exists() and not self.out.is_dir():
            raise ScanweaveError(self.out, "is a file", _ELSEWHERE)
        if self.out.exists() and not _is_bare(self.out):
            self._compare(asked)
        return asked

    @contextmanager
    def claimed(self, asked: Mapping[str, Any]) -> Iterator[Self]:
        """Hold the folder for this process, for what `request` returned.

        Where the block is refused before a study is done, nothing is left behind that was not there.

        Raises:
            ScanweaveError: Another process writes to it.
        """
        lock = HeldFolder(self.out)
        try:
            sweep(self.out)
            write_json(self.out / MARK, asked)
            yield self
        except ScanweaveError:
            if not self.answers:
                lock.discard()
            raise
        finally:
            lock.release()

    def _compare(self, asked: Mapping[str, Any]) -> None:
        if not (self.out / MARK).is_file():
            raise ScanweaveError(self.out, "holds other files and no predictions", _ELSEWHERE)
        before = read_json(self.out / MARK, _ELSEWHERE)
        for name, words in _ASKED.items():
            if not isinstance(before, dict) or before.get(name, "") != asked[name]:
                raise ScanweaveError(
                    self.out, f"a prediction {words} exists already", f"{_ELSEWHERE}, or remove this one"
                )

    @cached_property
    def answers(self) -> dict[str, dict[str, Any]]:
        """Answers of the studies that are done, by name."""
        path, found = self.out / ANSWERS, dict[str, dict[str, Any]]()
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        for line in text.split("\n")[:-1]:  # what follows the last line break was never finished
            try:
                answer = json.loads(line)
                found[answer["study"]] = answer
            except (ValueError, TypeError, KeyError) as error:
                raise ScanweaveError(path, f"holds a line that is no answer ({error})", "Remove it") from error
        return found

    @property
    def names(self) -> set[str]:
        """Names of the images that it holds."""
        return {column.partition(":")[2] for answer in self.answers.values() for column in answer["files"]}

    def write(self, study: Study, made: Study, cautions: Mapping[str, str] | None = None) -> None:
        """Write what was made of a study, all or none of it.

        Args:
            study: What it was made of.
            made: What was made.
            cautions: What is known against an image, by name; it is kept in its header.
        """
        from scanweave.studies.formats.json_boxes import box_list
        from scanweave.studies.formats.study_writer import write_study

        about = {"scanweave": scanweave.__version__, "system": self.run.record["system"]}
        about |= {"weights_sha256": self._weights[:12], "study": study.id}
        used = [column.removeprefix("scan:") for column in self.plan.sources if column in study.columns]
        told = {name: {"caution": words} for name, words in (cautions or {}).items()}
        files: dict[str, str] = {}
        if made.scans or made.masks or made.embeddings or made.boxes is not None or made.report is not None:
            if (self.out / study.id).exists():
                shutil.rmtree(self.out / study.id)
                self.again.append(study.id)
            with atomic_folder(self.out / study.id) as folder:
                files = write_study(
                    folder,
                    made,
                    lambda name: {
                        **about,
                        "target": name,
                        "sources": [u for u in used if u != name],
                        **told.get(name, {}),
                    },
                )
        answer: dict[str, Any] = {"study": study.id, "patient": study.patient, "files": files}
        answer |= {"labels": dict(made.labels), "table": dict(made.table)}
        answer |= {"boxes": [] if made.boxes is None else box_list(made.boxes)}
        with writing(self.out / ANSWERS), (self.out / ANSWERS).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(answer, ensure_ascii=False) + "\n")
            lines.flush()
            os.fsync(lines.fileno())
        self.answers[study.id] = answer

    def finish(
        self, cohort: Cohort, structures: Mapping[str, Mapping[str, Sequence[int]]] | None = None
    ) -> dict[str, int]:
        """Make the folder a cohort, if it holds any prediction; return how many of each kind it holds.

        `structures` says what the numbers of each mask mean, as in `Cohort.create`.
        """
        from scanweave.studies.cohort import ABOUT
        from scanweave.studies.cohort import Cohort as CohortClass

        own = cohort.own_names
        rows = [{**_row(self.answers[name]), **own.get(name, {})} for name in cohort.studies if name in self.answers]
        if rows:
            with writing(self.out):
                (self.out / ABOUT).unlink(missing_ok=True)  # of an earlier call, in which studies failed
            self._write_table(cohort)
            name, source = f"{self.out.name} (synthetic)", str(real_path(self.run.folder))
            about: dict[str, Any] = {"source": source, "layout": "predictions", "structures": structures}
            CohortClass.create(self.out, rows, root=".", name=name, **about)
        columns = [str(column).partition(":")[0] for row in rows for column in row if column not in WHO]
        return {kind: columns.count(kind) for kind in dict.fromkeys(columns)}

    def _write_table(self, cohort: Cohort) -> None:
        import pandas as pd

        rows, own = list[dict[str, Any]](), cohort.own_names
        for answer in (self.answers[name] for name in cohort.studies if name in self.answers):
            who = {"study": answer["study"], "patient": answer["patient"], **own.get(answer["study"], {})}
            if answer["labels"]:
                single = len(answer["labels"]) == 1
                told = {"predicted" if single else f"predicted {n}": value for n, value in answer["labels"].items()}
                rows.append({**who, **told, **answer["table"]})
            if "boxes" in answer["files"]:  # a row without corners: nothing was found
                rows.extend({**who, **box} for box in map(_flat, answer["boxes"] or [{}]))
        if rows:
            write_csv(self.out / TABLE, pd.DataFrame(rows))

    @cached_property
    def _weights(self) -> str:
        return file_sha256(self.run.weights)


def _row(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return a study of the cohort of predictions."""
    files = {column: f"{answer['study']}/{file}" for column, file in answer["files"].items()}
    labels = {f"label:{name}": value for name, value in answer["labels"].items()}
    table = {f"table:{name}": value for name, value in answer["table"].items()}
    return {"study": answer["study"], "patient": answer["patient"], **files, **labels, **table}


def _flat(box: Mapping[str, Any]) -> dict[str, Any]:
    """Return a box as the cells of a row: its class, its score, and a cell a coordinate."""
    cells = {"class": box.get("label"), "score": box.get("score")}
    for end in ("start", "stop"):
        cells |= {f"{end}_{axis}": one for axis, one in zip("xyz", box.get(end, ()), strict=False)}
    return cells


def _is_bare(folder: Path) -> bool:
    """Tell whether no study is in it yet, so that another call may have it."""
    return all(path.name == MARK or path.name.startswith(".") for path in folder.iterdir())
