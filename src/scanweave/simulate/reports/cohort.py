"""Reports on a simulated cohort: a new cohort of the same images, with a text for each section."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from scanweave.errors import ScanweaveError
from scanweave.files import read_json, write_json
from scanweave.simulate.cohort_folder import checked_settings
from scanweave.simulate.reports.composition import write_report
from scanweave.simulate.reports.settings import ReportSettings
from scanweave.simulate.reports.statements import statements_of
from scanweave.simulate.writing import AGAIN, REQUEST, TRUTH, claim
from scanweave.studies.cohort import ABOUT, Cohort
from scanweave.studies.splits import write_splits


def simulate_reports(cohort: Cohort | str | Path, out: str | Path, *, seed: int, **settings: Any) -> Cohort:
    """Write a report on every study of a simulated cohort of films or bodies, from what was planted.

    Args:
        cohort: The simulated cohort, or its folder; its images stay where they are.
        out: Folder to make: a cohort of the same studies with the columns `text:findings`, `text:impression` and
            `text:indication`, and `truth.json` with what each report says of which finding.
            Splits are those of the cohort.
        seed: Any non-negative number; the same one gives the same reports.
        **settings: Fields of `ReportSettings`.

    Raises:
        ScanweaveError: A setting is wrong, the cohort was not simulated so, or `out` holds something else.
    """
    source = cohort if isinstance(cohort, Cohort) else Cohort.open(cohort)
    advice = "See: scanweave simulate reports --help"
    chosen = checked_settings(ReportSettings, settings, advice, subjects=1, seed=seed, workers=1)
    known = source.folder / REQUEST
    if not known.is_file() or not (source.folder / TRUTH).is_file():
        raise ScanweaveError(source.folder, "was not simulated: nobody knows what is in it", "Simulate films or bodies")
    system = str(read_json(known, AGAIN)["system"])
    truths = read_json(source.folder / TRUTH, AGAIN)["subjects"]
    out = Path(out)
    request = {"of": source.digest, "seed": seed, "settings": chosen.model_dump(mode="json")}
    statements = {study: statements_of(system, truths[study]) for study in source.studies}
    claim(out, {"system": "reports", **request})
    rows, told = [], {}
    for row in source.frame.to_dict("records"):
        study = str(row["study"])
        rng = np.random.default_rng((seed, int(truths[study]["index"])))
        written = write_report(rng, statements[study], system, chosen)
        texts = {f"text:{section}": text for section, text in written.sections.items()}
        rows.append({**row, **texts, "table:institution": written.institution})
        sentences = [{"text": one.text, "says": one.says} for one in written.sentences]
        told[study] = {"institution": written.institution, "said": written.said, "sentences": sentences}
    write_json(out / TRUTH, {"seed": seed, "settings": chosen.model_dump(mode="json"), "subjects": told})
    (out / ABOUT).unlink(missing_ok=True)
    about = {"name": out.name, "source": "scanweave simulate reports", "layout": "simulated"}
    structures, splits = source.about.get("structures"), source.splits()
    made = Cohort.create(out, rows, root=source.root.resolve(), structures=structures, **about)
    if splits is not None:  # who learns from the images alone and who from both must test on the same patients
        write_splits(out, splits)
    return made
