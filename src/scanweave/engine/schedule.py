"""The learning rate as a function of the step and nothing else, so that a resumed run cannot jump."""

from __future__ import annotations

import math

from scanweave.engine.settings import TrainingSettings


def learning_rate(settings: TrainingSettings, step: int) -> float:
    """Return the learning rate of a step.

    The warm-up rises linearly. Poly and cosine then fall from `learning_rate` to `final_learning_rate` over the rest of
    `schedule_length`, in ticks of `schedule_every` steps, and stay there; the step schedule is multiplied by `gamma`
    at each of its `milestones`.

    Args:
        settings: The schedule.
        step: Updates made so far; 0 for the first.
    """
    if step < settings.warm_up_steps:
        return settings.learning_rate * (step + 1) / settings.warm_up_steps
    if settings.schedule == "constant":
        return settings.learning_rate
    if settings.schedule == "step":
        return settings.learning_rate * settings.gamma ** sum(step >= milestone for milestone in settings.milestones)
    elapsed = step - settings.warm_up_steps
    elapsed -= elapsed % settings.schedule_every
    fraction = min(1.0, elapsed / (settings.schedule_length - settings.warm_up_steps))
    if settings.schedule == "poly":
        remaining = (1 - fraction) ** settings.poly_power
    else:
        remaining = (1 + math.cos(math.pi * fraction)) / 2
    return settings.final_learning_rate + (settings.learning_rate - settings.final_learning_rate) * remaining
