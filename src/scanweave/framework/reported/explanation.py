"""Maps of where words are looked for in images, on the native grid, and pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.files import write_json
from scanweave.framework.classification.surest import surest_studies
from scanweave.framework.reported.fitted_pairs import FittedPairs
from scanweave.framework.reported.pointing import sentences_map
from scanweave.framework.reported.prompts import Prompts
from scanweave.framework.reported.search import unknown_words
from scanweave.framework.reported.settings import ExplainOptions
from scanweave.framework.reported.study_texts import COLUMNS
from scanweave.framework.reported.zero_shot import unit
from scanweave.framework.run_outputs import result_picture
from scanweave.framework.trial import Trial
from scanweave.framework.whole_images.maps import native_scan_of
from scanweave.report.attention import attention_overlay, word_grid
from scanweave.report.blocks import Block, Figure, Section
from scanweave.report.saving import save_figure, save_table
from scanweave.report.slices import PLANES
from scanweave.studies.columns import columns_of
from scanweave.studies.formats.image_writer import write_scan
from scanweave.studies.study import Study
from scanweave.wording import nearest

FILE, TABLE = "explanation.json", "explanation.csv"
LETTERS = 3
"""Of a word that is shown, at least: shorter ones say little."""
WHERE = "Where words are looked for"
Row = dict[str, Any]
Fitted = FittedPairs[Any]


def explain_words(fitted: Fitted, trial: Trial, options: ExplainOptions) -> pd.DataFrame:
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
    if (options.maps_of == "words" or options.words) and not fitted.looks_for_words:
        field = "words" if options.words else "maps_of"
        raise ScanweaveError(field, "the run did not learn where words look", "Take --maps-of places, without --words")
    if options.words and not columns_of(trial.cohort.frame.columns, *COLUMNS):
        raise ScanweaveError("words", "has no effect: the studies have no reports", "Leave it out")
    if not (options.text.strip() or outputs):
        raise ScanweaveError("text", "nothing is named to look for", 'Give words: --text "pleural effusion"')
    sentences = {name: one.present for name, one in fitted.plan.prompts.items()}
    prompts = fitted.plan.prompts
    if options.text:
        for caution in unknown_words(fitted.reader.tokenizer, options.text, "text"):
            trial.say(f"caution: {caution}")
        sentences, prompts = {options.text: (options.text,)}, {}
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
        own = {of: prompts[of]} if of in prompts else {}
        rows += _written(fitted, trial, trial.study(name), (of, sentences[of], own), score, options)
        trial.say(f"{name}: where '{of}' is looked for, {'likeness' if options.text else 'probability'} {score:.2f}")
    table = pd.DataFrame(rows)
    save_table(table, trial.folder / TABLE)
    about = {**trial.about, "left_out": trial.left_out, "maps_of": options.maps_of}
    write_json(trial.folder / FILE, {"format": 1, "about": about, "rows": rows})
    trial.note()
    return table


def maps_section(folder: Path, record: Mapping[str, Any]) -> Section:
    """Return the section of a page on the maps that were made."""
    blocks: list[Block] = []
    for row in record["rows"]:
        picture = result_picture(folder, row["picture"])
        if picture is not None:
            caption = f"{row['study']}, {row['scan']}: where to look for {row['of']}."
            blocks.append(Figure(picture, caption, caption))
    places = record["about"].get("maps_of", "words") == "places"
    what = "are more like the words" if places else "get more of the attention of the words"
    lead = f"Brighter places {what}. A map shows where words are looked for, not that they are true."
    return Section(WHERE, lead, blocks)


def _written(
    fitted: Fitted,
    trial: Trial,
    study: Study,
    asked: tuple[str, tuple[str, ...], Prompts],
    score: float,
    options: ExplainOptions,
) -> list[Row]:
    """Write the map of a study, in the image that is most like the sentences, and its pictures; a row each."""
    of, sentences, prompts = asked
    place = _likest(fitted, study, sentences)
    made, name = sentences_map(fitted, study, place, sentences, options.maps_of, prompts), study.id
    about = {"system": trial.run.record["system"], "of": of, "study": name}
    write_scan(trial.folder / name / f"{name}_words.nii.gz", made, about)
    anatomy, spacing = np.asarray(study.scans[place].data, dtype=np.float32), made.geometry.spacing
    row: Row = {"study": name, "patient": study.patient, "of": of, "scan": place, "score": score}
    rows: list[Row] = [{**row, "picture": f"{name}/{name}_words.png"}]
    figure = attention_overlay(anatomy, np.asarray(made.data), spacing, f"where '{of}' is looked for")
    save_figure(figure, trial.folder / rows[0]["picture"])
    if maps := _report_words(fitted, study, place, options.words):
        rows.append({**row, "of": "words of its own report", "picture": f"{name}/{name}_report.png"})
        save_figure(_word_picture(anatomy, maps, spacing), trial.folder / rows[1]["picture"])
    return rows


def _likest(fitted: Fitted, study: Study, sentences: tuple[str, ...]) -> str:
    """Return the name of the image whose vector is most like the mean of the sentences'."""
    vector = unit(fitted.reader.sentences(sentences).mean(axis=0))
    volumes = fitted.prepared(study).volumes
    likeness = {name: float(fitted.reader.image({name: volume}) @ vector) for name, volume in volumes.items()}
    return max(likeness, key=likeness.__getitem__)


def _report_words(fitted: Fitted, study: Study, place: str, most: int) -> dict[str, NDArray[np.float32]]:
    """Return maps of the weightiest words of a study's own report, by word; none where it has none."""
    text = fitted.readable(study) if most else None
    if text is None:
        return {}
    prepared = fitted.prepared(study.only([place]))
    [(maps, weights)] = fitted.reader.word_maps(prepared.volumes[place], place, [text.sentences])
    words = fitted.reader.tokenizer.words(text.sentences)
    crop, found = fitted.config.sampling.crop, dict[str, NDArray[np.float32]]()
    for number in weights.argsort(descending=True, stable=True).tolist():
        word = words[number].lower()
        if len(found) < most and len(word) >= LETTERS and word not in found:
            native = native_scan_of(maps[number], prepared.frames[place], fitted.plan, fitted.preparation, crop)
            found[word] = np.asarray(native.data, dtype=np.float32)
    return found


def _word_picture(anatomy: NDArray[np.float32], maps: Mapping[str, NDArray[np.float32]], spacing: Any) -> Any:
    """Draw a film, or the axial slice of a volume in which the maps are highest, beside its maps."""
    thin = anatomy.shape.index(1) if 1 in anatomy.shape else PLANES["axial"]
    if 1 not in anatomy.shape:  # as in all pictures of volumes: front on top, the patient's right on the left
        anatomy, maps = anatomy[::-1, ::-1], {word: one[::-1, ::-1] for word, one in maps.items()}
    others = tuple(axis for axis in range(anatomy.ndim) if axis != thin)
    shares = np.stack([one / max(float(one.max()), 1e-12) for one in maps.values()])
    highest = int(shares.sum(axis=0).max(axis=others).argmax())
    sizes = [size for axis, size in enumerate(spacing) if axis != thin]
    flat = {word: np.take(one, [highest], axis=thin).squeeze(thin) for word, one in maps.items()}
    return word_grid(np.take(anatomy, [highest], axis=thin).squeeze(thin), flat, sizes[1] / sizes[0])
