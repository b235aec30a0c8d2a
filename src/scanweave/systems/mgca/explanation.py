"""Maps of where words are looked for in films, on the native grid, and pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.files import write_json
from scanweave.framework.classification.surest import surest_studies
from scanweave.framework.reported.search import refuse_unknown_words
from scanweave.framework.reported.zero_shot import unit
from scanweave.framework.trial import Trial
from scanweave.framework.whole_images.maps import native_scan_of
from scanweave.report.attention import attention_overlay, word_grid
from scanweave.report.saving import save_figure, save_table
from scanweave.studies.formats.image_writer import write_scan
from scanweave.studies.study import Study
from scanweave.systems.mgca.config import ExplainOptions
from scanweave.systems.mgca.fitted import FittedMgca
from scanweave.systems.mgca.pointing import sentences_map
from scanweave.wording import nearest

FILE, TABLE = "explanation.json", "explanation.csv"
LETTERS = 3
"""Of a word that is shown, at least: shorter ones say little."""
Row = dict[str, Any]


def explain(fitted: FittedMgca, trial: Trial, options: ExplainOptions) -> pd.DataFrame:
    """Write maps of where a finding's sentences, or the user's own words, are looked for, and a picture of each study.

    Args:
        fitted: The fitted run.
        trial: The studies, and where the results go.
        options: What is looked for, in how many studies, and how many words of a report beside it.

    Returns:
        One row a picture, as in `explanation.csv`.

    Raises:
        ScanweaveError: There is no such finding, nothing to look for, or no study could be explained.
    """
    outputs = fitted.plan.outputs
    if options.of and options.of not in outputs:
        raise ScanweaveError("of", f"the run does not tell '{options.of}'", nearest(options.of, outputs))
    if not (options.text.strip() or outputs):
        raise ScanweaveError("text", "nothing is named to look for", 'Give words: --text "pleural effusion"')
    sentences = {name: one.present for name, one in fitted.plan.prompts.items()}
    if options.text:
        refuse_unknown_words(fitted.reader.tokenizer, options.text, "text")
        sentences = {options.text: (options.text,)}
    vectors = fitted.reader.sentences([options.text]) if options.text else None

    def told(study: Study) -> NDArray[np.float64]:
        return fitted.probabilities(study) if vectors is None else vectors @ fitted.image(study)

    found, looked = dict(trial.each(told)), list(sentences)
    chosen = surest_studies(found, looked, options.of, options.maps)
    if len(chosen) < len(found):
        trial.say(f"the {len(chosen)} surest of {len(found)} studies are mapped; more by --maps")
    rows = []
    for name, number in chosen.items():
        of, score = looked[number], round(float(found[name][number]), 4)
        rows += _written(fitted, trial, trial.study(name), of, sentences[of], score, options.words)
        trial.say(f"{name}: where '{of}' is looked for, {'likeness' if options.text else 'probability'} {score:.2f}")
    table = pd.DataFrame(rows)
    save_table(table, trial.folder / TABLE)
    write_json(trial.folder / FILE, {"format": 1, "about": {**trial.about, "left_out": trial.left_out}, "rows": rows})
    trial.note()
    return table


def _written(
    fitted: FittedMgca, trial: Trial, study: Study, of: str, sentences: tuple[str, ...], score: float, words: int
) -> list[Row]:
    """Write the map of a study, in the film that is most like the sentences, and its pictures; return a row each."""
    film = _likest(fitted, study, sentences)
    made, name = sentences_map(fitted, study, film, sentences), study.id
    about = {"system": trial.run.record["system"], "of": of, "study": name}
    write_scan(trial.folder / name / f"{name}_words.nii.gz", made, about)
    anatomy, spacing = np.asarray(study.scans[film].data, dtype=np.float32), made.geometry.spacing
    row: Row = {"study": name, "patient": study.patient, "of": of, "scan": film, "score": score}
    rows: list[Row] = [{**row, "picture": f"{name}/{name}_words.png"}]
    figure = attention_overlay(anatomy, np.asarray(made.data), spacing, f"where '{of}' is looked for")
    save_figure(figure, trial.folder / rows[0]["picture"])
    if maps := _report_words(fitted, study, film, words):
        rows.append({**row, "of": "words of its own report", "picture": f"{name}/{name}_report.png"})
        sizes = [size for size, pixels in zip(spacing, anatomy.shape, strict=True) if pixels > 1]
        figure = word_grid(_flat(anatomy), maps, sizes[1] / sizes[0])
        save_figure(figure, trial.folder / rows[1]["picture"])
    return rows


def _likest(fitted: FittedMgca, study: Study, sentences: tuple[str, ...]) -> str:
    """Return the name of the film whose vector is most like the mean of the sentences'."""
    vector = unit(fitted.reader.sentences(sentences).mean(axis=0))
    volumes = fitted.prepared(study).volumes
    likeness = {name: float(fitted.reader.image({name: volume}) @ vector) for name, volume in volumes.items()}
    return max(likeness, key=likeness.__getitem__)


def _report_words(fitted: FittedMgca, study: Study, film: str, most: int) -> dict[str, NDArray[np.float32]]:
    """Return maps of the weightiest words of a study's own report, by word; none where it has none."""
    text = fitted.text(study) if most else None
    if text is None:
        return {}
    prepared = fitted.prepared(study.only([film]))
    [(maps, weights)] = fitted.reader.word_maps(prepared.volumes[film], film, [text.sentences])
    words = fitted.reader.tokenizer.words(text.sentences)
    crop, found = fitted.config.sampling.crop, dict[str, NDArray[np.float32]]()
    for number in weights.argsort(descending=True, stable=True).tolist():
        word = words[number].lower()
        if len(found) < most and len(word) >= LETTERS and word not in found:
            native = native_scan_of(maps[number], prepared.frames[film], fitted.plan, fitted.preparation, crop)
            found[word] = _flat(np.asarray(native.data, dtype=np.float32))
    return found


def _flat(film: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a film `(X, Y, Z)` without its axis of one pixel."""
    return film.squeeze(film.shape.index(1))
