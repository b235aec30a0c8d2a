"""Films with a nodule, a corner marker and a tube, and runs whose answers are known."""

import numpy as np
from PIL import Image
from scipy.ndimage import uniform_filter

from scanweave.framework.classification.answer_plan import AnswerPlan
from scanweave.measures.operating_points import OperatingPoint
from scanweave.studies.boxes import Boxes
from scanweave.studies.cohort import Cohort
from scanweave.studies.formats.json_boxes import write_box_json

SIZE = (64, 56)
"""Width and height."""
MARKER = (slice(4, 12), slice(4, 10))


def make_marked(folder, patients=40, rho=0.5, seed=0, per_patient=1):
    """Write films (x across, y down) in which the marker agrees with the nodule with probability rho.

    Films of odd patients come from site B, which is brighter. A tube runs down half of the films, whatever they show.
    """
    rng, rows = np.random.default_rng(seed), []
    (folder / "films").mkdir(parents=True)
    for number in range(patients * per_patient):
        patient = number // per_patient
        ill = int(rng.random() < 0.5)
        marked = ill if rng.random() < rho else 1 - ill
        image, labels, corners = rng.normal(90 + 25 * (patient % 2), 6, SIZE), [], []
        if ill:
            x, y = rng.integers(18, 36, 2)
            image[x : x + 10, y : y + 10] += 70
            labels.append("nodule")
            corners.append([[x, y], [x + 10, y + 10]])
        if marked:
            image[MARKER] += 120
            labels.append("marker")
            corners.append([[span.start for span in MARKER], [span.stop for span in MARKER]])
        if rng.random() < 0.5:
            image[52:55, 10:50] += 50
            labels.append("tube")
            corners.append([[52, 10], [55, 50]])
        name = f"s{number:03d}"
        Image.fromarray(image.T.clip(0, 255).astype(np.uint8)).save(folder / "films" / f"{name}.png")
        write_box_json(folder / "films" / f"{name}.json", Boxes(np.array(corners), labels, size=SIZE))
        part = ("train", "validation", "test", "test")[patient % 4]
        row = {"study": name, "patient": f"p{patient:03d}", "split": part, "label:nodule": ill}
        row |= {"scan:film": f"films/{name}.png", "boxes": f"films/{name}.json", "table:site": "AB"[patient % 2]}
        rows.append(row)
    return Cohort.create(folder, rows, root=".", name="marked", source="test", layout="test")


class ToyPlan(AnswerPlan):
    """The question of a toy."""

    @property
    def sources(self):
        """Columns that it reads."""
        return ("scan:film",)


class Toy:
    """A run that answers by a rule.

    Args:
        rule: From the contrast of a film to its surroundings `(X, Y)` to a number; above 0 is called.
    """

    name = "toy"

    def __init__(self, rule):
        asked = {"kind": "findings", "labels": ("nodule",), "outputs": ("nodule",), "uncertain": "ignore"}
        self.rule, self.plan = rule, ToyPlan(**asked, shares=(0.5,), reasons=())
        self.points = {"nodule": OperatingPoint(0.5, "half", 1)}

    def probabilities(self, study):
        """Return the probability of a nodule `(1,)`."""
        image = np.asarray(study["film"].data, dtype=float)[..., 0]
        return np.array([1 / (1 + np.exp(-self.rule(image - np.median(image))))])

    def predict(self, study, targets):
        """Return an embedding that holds the grey level and noise."""
        image = np.asarray(study["film"].data, dtype=float)
        return study.answer(embeddings={"toy": np.array([image.mean(), image.std()])})


def looks_at_marker(contrast):
    return (contrast[MARKER].mean() - 50) / 5


def looks_at_lesion(contrast):
    return (uniform_filter(contrast, 8)[20:46, 20:46].max() - 40) / 5


def sees_nothing(contrast):
    return 0.3
