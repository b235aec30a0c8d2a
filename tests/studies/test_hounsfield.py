"""A CT that is not in Hounsfield units is suspected, whatever was lost on its way; one that is, or a crop, is not."""

import nibabel as nib
import numpy as np
import pytest

from scanweave.studies.checks.cohort_check import check_cohort
from scanweave.studies.checks.hounsfield_check import hounsfield_findings, is_ct
from scanweave.studies.layouts import import_cohort


def body(seed=0, side=32):
    """Air, fat, soft tissue and bone [HU]."""
    rng = np.random.default_rng(seed)
    radius = np.linalg.norm(np.indices((side,) * 3) - side / 2 + 0.5, axis=0)
    image = np.full(radius.shape, -1000.0)
    image[radius < 14], image[radius < 12], image[radius < 4] = -100, 45, 700
    return image + rng.normal(0, 12, image.shape)


WRONG = {
    "the intercept was lost": (lambda hu: hu + 1024, "1024 were added"),
    "the intercept was lost, with padding": (
        lambda hu: np.where(np.indices(hu.shape)[0] < 2, -2000, hu + 1024),
        "1024 were added",
    ),
    "the intercept was taken twice": (lambda hu: np.clip(hu, None, 500) - 1024, "taken off twice"),
    "8 bits of a window": (lambda hu: np.clip((hu + 160) / 400 * 255, 0, 255).round(), "after a window"),
    "a window shifted to 0": (lambda hu: np.clip(hu, -150, 250) + 150, "between 0 and 400"),
    "from 0 to 1": (lambda hu: (hu - hu.min()) / np.ptp(hu), "rescaling"),
    "mean 0, deviation 1": (lambda hu: (hu - hu.mean()) / hu.std(), "no air, lung or fat"),
    "attenuation": (lambda hu: 0.02 * (1 + hu / 1000).clip(0), "rescaling"),
}
RIGHT = {
    "as it is": lambda hu: hu,
    "padded": lambda hu: np.where(np.indices(hu.shape)[0] < 2, -3024, hu),
    "a window of soft tissue in HU": lambda hu: np.clip(hu, -160, 240),
    "a crop of the inside": lambda hu: hu[3:-3, 3:-3, 3:-3],
    "whole numbers": lambda hu: hu.round().astype(np.int16),
}


@pytest.mark.parametrize("name", WRONG)
def test_other_units_are_suspected(name):
    change, words = WRONG[name]
    (finding,) = hounsfield_findings(change(body()))
    assert finding.status == "suspect"
    assert words in finding.words


@pytest.mark.parametrize("name", RIGHT)
def test_hounsfield_units_are_not(name):
    assert hounsfield_findings(RIGHT[name](body())) == []


@pytest.mark.parametrize("background", [0, -1000, -1024, -3024, None])
def test_a_brain_without_its_skull_is_not_suspected(background):
    rng = np.random.default_rng(1)
    brain = rng.choice([8, 28, 38], (24, 24, 24), p=[0.1, 0.4, 0.5]) + rng.normal(0, 5, (24, 24, 24))
    brain[10:12, 10:12, 10:12] = 300  # a calcification
    radius = np.linalg.norm(np.indices(brain.shape) - 11.5, axis=0)
    image = brain if background is None else np.where(radius < 9, brain, background)
    assert [finding.status for finding in hounsfield_findings(image.round())] in ([], ["ok"])
    window = np.clip(image / 80 * 255, 0, 255).round()  # the same in a window of 8 bits is not in Hounsfield units
    assert [finding.status for finding in hounsfield_findings(window)] == ["suspect"]


def test_names_of_ct():
    assert all(map(is_ct, ("ct", "cta", "ct_late")))
    assert not any(map(is_ct, ("t1", "ctdi", "pet", "dct")))


def test_the_check_of_a_cohort_says_so(tmp_path):
    for number, change in enumerate((0, 0, 1024)):
        (tmp_path / "src" / f"p{number}").mkdir(parents=True)
        for name, image in (("ct", body(number) + change), ("t1", body(number) + 1000)):
            file = nib.Nifti1Image(image.astype(np.int16), np.diag([3.0, 3.0, 3.0, 1.0]))
            nib.save(file, tmp_path / "src" / f"p{number}" / f"{name}.nii.gz")
    cohort = import_cohort(tmp_path / "src", tmp_path / "cohort", say=lambda line: None)
    found = {verdict.study: [f.kind for f in verdict.findings] for verdict in check_cohort(cohort)}
    assert found == {"p0": [], "p1": [], "p2": ["units"]}
