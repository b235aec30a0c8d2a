import pytest
import torch
from pydantic import ValidationError

from scanweave.engine.schedule import learning_rate
from scanweave.engine.settings import TrainingSettings

FINGERPRINT_OF_0_1_0 = "06a614acb22190e58e95bf4e5f0e780782b57a2a94d3cb3566db36e1809e102e"
PAPER = TrainingSettings(
    steps=1_000_000,
    learning_rate=2e-4,
    final_learning_rate=1e-6,
    schedule="poly",
    poly_power=0.9,
    schedule_every=6_640,
    schedule_steps=6_640_000,
)
"""Seq2Seq: 830 subjects × 8 crops an epoch, 1000 epochs of decay, a hard stop after 1e6 steps."""


def test_the_seq2seq_paper_stops_while_its_rate_is_still_high() -> None:
    assert learning_rate(PAPER, 0) == pytest.approx(2e-4)
    assert learning_rate(PAPER, 999_999) == pytest.approx(1.73e-4, rel=2e-3)
    assert learning_rate(PAPER, 6_639_999) == pytest.approx(1.4e-6, rel=0.05)
    assert learning_rate(PAPER, 6_640_000) == pytest.approx(1e-6)
    assert learning_rate(PAPER, 9_000_000) == pytest.approx(1e-6)


def test_the_rate_changes_at_epoch_ends_only() -> None:
    assert learning_rate(PAPER, 6_639) == learning_rate(PAPER, 0)
    assert learning_rate(PAPER, 6_640) < learning_rate(PAPER, 6_639)


def test_warm_up_rises_to_the_highest_rate_and_cosine_halves_midway() -> None:
    settings = TrainingSettings(steps=110, schedule="cosine", warm_up=10, learning_rate=1.0, final_learning_rate=0.0)
    assert [learning_rate(settings, step) for step in (0, 4, 9, 10)] == pytest.approx([0.1, 0.5, 1.0, 1.0])
    assert learning_rate(settings, 60) == pytest.approx(0.5)


def test_the_step_schedule_is_torchs_own() -> None:
    settings = TrainingSettings(steps=12, schedule="step", milestones=(3, 5, 9), gamma=0.3, learning_rate=0.5)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.5)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5, 9], gamma=0.3)
    for step in range(12):
        assert learning_rate(settings, step) == pytest.approx(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()


def test_settings_that_came_later_leave_an_older_run_as_it_was() -> None:
    """The fingerprint that 0.1.0 wrote of its defaults."""
    assert TrainingSettings().fingerprint == FINGERPRINT_OF_0_1_0
    assert FINGERPRINT_OF_0_1_0 in TrainingSettings(device="cpu").fingerprints
    assert TrainingSettings(gamma=0.2).fingerprint != FINGERPRINT_OF_0_1_0
    assert TrainingSettings(decay_norms_and_biases=False).fingerprint != FINGERPRINT_OF_0_1_0


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": float("nan")},
        {"step": 3},
        {"final_learning_rate": 1.0},
        {"schedule": "step"},
        {"milestones": (3,)},
        {"schedule": "step", "milestones": (5, 3)},
        {"optimizer": "sgd", "nesterov": True, "momentum": 0.0},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        TrainingSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(("steps", "warm_up"), [(2500, 50), (200, 50), (50, 12), (4, 1), (1, 0)])
def test_a_warm_up_takes_at_most_a_quarter_of_the_schedule(steps: int, warm_up: int) -> None:
    settings = TrainingSettings(steps=steps, warm_up=50)
    assert settings.warm_up_steps == warm_up
    rates = [learning_rate(settings, step) for step in range(steps)]
    assert rates.index(max(rates)) == max(0, warm_up - 1)
