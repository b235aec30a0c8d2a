"""A small MOME network and studies for it, without a cohort."""

from __future__ import annotations

import numpy as np
import torch

from scanweave.systems.mome.config import InputSettings, NetworkSettings
from scanweave.systems.mome.inputs import StudyInput, batch_of
from scanweave.systems.mome.network import MomeNetwork
from scanweave.systems.mome.planning import ImagePlan, MomePlan, VariablePlan

SIZES = {"dce": (12, 16, 16), "t2": (8, 16, 24), "film": (24, 16)}
SETTINGS = {"width": 16, "heads": 2, "sparse_layers": 2, "soft_layers": 2, "experts": 3, "stem": (4, 8), "stride": 8}
VARIABLES = (
    VariablePlan(name="age", categories=None, centre=50.0, spread=10.0),
    VariablePlan(name="sex", categories=("female", "male"), centre=0.0, spread=1.0),
)


def make_plan(frames_as="channels", names=tuple(SIZES)):
    images = tuple(
        ImagePlan(name=n, size=SIZES[n], thin=2 if n == "film" else None, frames=3 if n == "dce" else None,
                  in_plane=False)
        for n in names
    )  # fmt: skip
    return MomePlan(
        kind="classes", labels=("ill",), outputs=("0", "1", "2"), uncertain="ignore", shares=(0.4, 0.3, 0.3),
        images=images, variables=VARIABLES, frames_as=frames_as, reasons=(),
    )  # fmt: skip


def make_network(plan, **settings):
    """A network in which nothing begins at nothing, so that every part matters."""
    torch.manual_seed(0)
    made = MomeNetwork(plan, NetworkSettings(**{**SETTINGS, "backbone": "trained", **settings}))
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.endswith("gate"):
                parameter.fill_(0.7)
            if name.startswith("head"):
                parameter.normal_()
    return made.eval()


def make_study(seed, plan, shapes=None, frames=3):
    """A complete study of random numbers."""
    rng, images, times = np.random.default_rng(seed), {}, {}
    for image in plan.images:
        size = (shapes or SIZES)[image.name]
        count = frames if image.frames and plan.frames_as == "time" else image.frames or 1
        images[image.name] = torch.from_numpy(rng.normal(size=(count, *size)).astype(np.float32))
        if image.frames and plan.frames_as == "time":
            times[image.name] = torch.arange(count, dtype=torch.float32)
    return StudyInput(images, times, torch.tensor([0.5, 1.0]))


def answers(network, studies, fit="resize"):
    with torch.no_grad():
        return network(batch_of(studies, network.plan, InputSettings(fit=fit)))
