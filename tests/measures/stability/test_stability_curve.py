"""Curves, checks, structures and more data on methods that are understood."""

from dataclasses import replace

import pytest
import torch

from scanweave.audit.settings import AuditSettings
from scanweave.audit.stability import audit_stability
from scanweave.errors import ScanweaveError
from scanweave.measures.stability.attack import AttackSettings, Target
from scanweave.measures.stability.audit_setup import Setup
from scanweave.measures.stability.curve import stability_curve, strongest
from scanweave.measures.stability.measuring import measuring, noise_levels, with_more
from scanweave.measures.stability.more_views import largest_drop, measure_views
from scanweave.measures.stability.structures import Insert, dots, measure_structures, symbols
from scanweave.measures.stability.validity import check_attacks, check_gradients
from scanweave.physics.ct.geometry import ParallelGeometry, even_angles
from scanweave.physics.ct.operators import CtPhysics

SIZE = 32


def blurred(image):
    return torch.nn.functional.avg_pool2d(image, 5, stride=1, padding=2)


def setup_of(methods, noise=0.01, more=None):
    generator = torch.Generator().manual_seed(0)
    truth = blurred(torch.rand(6, 1, SIZE, SIZE, generator=generator))

    def measure(image, source):
        return image + noise * torch.randn(image.shape, generator=source)

    return Setup(truth, measure(truth, generator), methods, lambda image: image, measure, tuple("aabbcc"), 1.0, more)


@pytest.fixture(scope="module")
def audited():
    setup = setup_of({"gain": lambda m: 3 * m, "smooth": blurred})
    settings = AttackSettings(iterations=20, warm_up=10, restarts=2)
    return setup, *stability_curve(setup, (0.01, 0.05), settings)


def test_curve_knows_the_amplification_of_a_gain(audited):
    setup, table, _ = audited
    own = table[(table["method"] == "gain") & (table["kind"] == "own")]
    ratio = (setup.measurement.flatten(1).norm(dim=1) / setup.truth.flatten(1).norm(dim=1)).numpy()
    assert own[own["share"] == 0.05]["amplification"].to_numpy() == pytest.approx(3 * ratio, rel=1e-3)


def test_noise_is_averaged_away_where_the_worst_case_is_not(audited):
    _, table, _ = audited
    means = table[table["method"] == "smooth"].groupby("kind")["amplification"].mean()
    assert means["own"] == pytest.approx(1.0, abs=0.05)
    assert means["noise"] < 0.4


def test_strongest_takes_the_better_of_own_and_transferred(audited):
    _, table, _ = audited
    table = table.copy()
    other = (table["method"] == "smooth") & (table["kind"] == "gain") & (table["share"] == 0.05)
    table.loc[other, "change"] = 1e9
    worst = strongest(table)
    chosen = worst[(worst["method"] == "smooth") & (worst["share"] == 0.05)]
    assert set(chosen["kind"]) == {"gain"}
    assert len(chosen) == 6


def test_a_sound_attack_passes_its_checks(audited):
    _, table, attacks = audited
    assert {check.check for check in check_attacks(table, attacks)} == {
        "iterations",
        "radius",
        "transfer",
        "restarts",
        "noise",
    }
    assert all(check.passed for check in check_attacks(table, attacks) if check.check != "restarts")


def test_a_weak_attack_is_found_out(audited):
    _, table, attacks = audited
    table = table.copy()
    table.loc[(table["method"] == "smooth") & (table["kind"] == "own"), "change"] *= 0.1
    failed = {check.check for check in check_attacks(table, attacks) if not check.passed and check.method == "smooth"}
    assert {"transfer", "noise"} <= failed


def test_masked_gradient_is_found_out():
    measurement = torch.rand(2, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def honest(values):
        return values.tanh() * 2

    def masked(values):
        return values.tanh() + values.tanh().detach()

    assert check_gradients(Target(honest, measurement), "honest", 0.05).passed
    assert not check_gradients(Target(masked, measurement), "masked", 0.05).passed


def test_structures_are_seen_through_identity_and_not_through_their_removal():
    setup = setup_of({"as measured": lambda m: m, "wiped": lambda m: 0 * m})
    table = measure_structures(setup, [*dots((SIZE, SIZE)), *symbols((SIZE, SIZE))], (0.2,))
    seen, wiped = (table[table["method"] == name] for name in ("as measured", "wiped"))
    assert seen["auc"].min() > 0.95
    assert seen["recovered"].to_numpy() == pytest.approx(1.0, abs=0.15)
    assert wiped["auc"].to_numpy() == pytest.approx(0.5)
    assert list(table["insert"].unique())[:3] == ["1 × 1 pixel", "2 × 2 pixels", "3 × 3 pixels"]


def test_template_answers_contrast_and_no_constant():
    insert = dots((SIZE, SIZE), (3,))[0]
    assert insert.template.sum() == pytest.approx(0, abs=1e-5)
    assert (insert.template * (5.0 + 0.25 * insert.mask)).sum() == pytest.approx(0.25, abs=1e-4)
    assert isinstance(symbols((64, 64))[0], Insert)


def test_more_data_curve_and_its_drop():
    def more(factor):
        return {
            "better": lambda m: m,
            "worse": lambda m: m * (1 + 0.1 * factor),
        }, lambda image, _: image * (1 + 0.01 / factor)

    table = measure_views(setup_of({"any": blurred}, more=more), (0.5, 1.0, 2.0))
    assert largest_drop(table, "better") == 0
    assert largest_drop(table, "worse") > 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"methods": {}}, "no method"),
        ({"patients": ("a",)}, "6 images"),
        ({"truth": torch.full((6, 1, SIZE, SIZE), float("nan"))}, "NaN"),
    ],
)
def test_unusable_setup_is_refused_in_one_line(wrong, words):
    good = setup_of({"any": blurred})
    fields = {name: getattr(good, name) for name in good.__dataclass_fields__} | wrong
    with pytest.raises(ScanweaveError, match=words) as error:
        Setup(**fields)
    assert "\n" not in str(error.value)


def test_views_without_a_way_to_measure_more_are_refused():
    with pytest.raises(ScanweaveError, match="no way to measure more"):
        measure_views(setup_of({"any": blurred}), (1.0,))


def test_ct_is_measured_anew_with_the_noise_of_each_bin():
    physics = CtPhysics(ParallelGeometry.covering((SIZE, SIZE), 1.0, even_angles(20)))
    disc = 0.02 * (torch.hypot(*torch.meshgrid(*[torch.arange(SIZE) - 15.5] * 2, indexing="ij")) < 12).float()
    truth = disc.repeat(4, 2, 1, 1)
    levels = torch.tensor([0.01, 0.1])
    measured = measuring(physics, levels)(truth, torch.Generator().manual_seed(0))
    finer = measuring(physics, 1e-9)(truth, torch.Generator().manual_seed(0))
    found = (measured - finer).flatten(2).norm(dim=2) / finer.flatten(2).norm(dim=2)
    assert found.mean(dim=0).tolist() == pytest.approx(levels.tolist(), rel=0.01)
    assert noise_levels(physics, truth, measured)[1] == pytest.approx(0.1, rel=0.1)


def test_scan_of_uneven_angles_has_no_more_data_and_says_so():
    lines = []
    uneven = CtPhysics(ParallelGeometry.covering((SIZE, SIZE), 1.0, (0.0, 10.0, 50.0, 120.0)))
    assert with_more(uneven, lines.append) is None
    assert lines == ["more data: left out, since the angles are not evenly spread"]
    even = CtPhysics(ParallelGeometry.covering((SIZE, SIZE), 1.0, even_angles(20)))
    assert len(with_more(even, lines.append)(2.0).geometry.angles) == 40


def test_images_too_small_for_text_are_refused_before_any_attack():
    def never(measurement):
        raise AssertionError("attacked first")

    setup = setup_of({"never": never}).part(0, 1)
    small = replace(setup, truth=setup.truth[..., :16, :16], measurement=setup.measurement[..., :16, :16])
    with pytest.raises(ScanweaveError, match="too few for text"):
        audit_stability(small, AuditSettings(images=1))
