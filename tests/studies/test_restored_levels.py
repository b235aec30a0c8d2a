"""Images prepared by mean and deviation come back in their units."""

import numpy as np
import pytest

from scanweave.studies.preparing.plan import learn_plan
from scanweave.studies.preparing.preparation import prepare, restore
from scanweave.studies.preparing.settings import PreparationSettings
from scanweave.studies.scan import Scan
from scanweave.studies.study import Study


@pytest.mark.parametrize("lowest", [0.0, -1000.0])
def test_prepared_and_restored_is_the_image(lowest):
    """Of MR the image's own levels count, of CT, which is below 0, those of the plan."""
    rng = np.random.default_rng(0)
    data = (lowest + rng.gamma(2, 200, (9, 8, 7))).astype(np.float32)
    study = Study("s", "p", scans={"ct": Scan.of(data, np.eye(4))})
    plan = learn_plan([study], ["ct"], PreparationSettings(crop=False), standard=True)
    prepared = prepare(study, plan)
    found = restore(prepared.volumes["ct"], prepared.frame, plan, "ct")
    rule = plan.rule("ct")
    wanted = np.clip(data, rule.low, rule.high) if rule.kind == "standard" else data
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-2)
