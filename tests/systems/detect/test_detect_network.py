"""The parts of the network, each against what its paper says or a count by hand."""

import numpy as np
import pytest
import torch

from scanweave.studies.boxes import Boxes
from scanweave.systems.detect.bifpn import EPSILON, BiFPN, BiFPNLayer, Fusion, halved
from scanweave.systems.detect.box_points import choose_box_points, reported
from scanweave.systems.detect.config import CHEXDET, SMALL, NetworkSettings
from scanweave.systems.detect.head import assigned
from scanweave.systems.detect.inference import Reading
from scanweave.systems.detect.make_network import make_network
from scanweave.systems.detect.planning import DetectPlan, best_overlap, plan_anchors, plan_size
from scanweave.systems.detect.scores import image_scores, label_loss
from scanweave.systems.detect.targets import FilmTargets, Found, film_targets, on_ignored
from scanweave.systems.detect.truth import FilmTruth

PLAN = DetectPlan(
    kind="findings",
    labels=("a", "b"),
    outputs=("a", "b"),
    uncertain="ignore",
    shares=(0.5, 0.5),
    reasons=(),
    scan="film",
    channels=1,
    size=(64, 128),
    anchor_scale=4.0,
    anchor_ratios=(0.5, 1.0),
    most_targets=2,
)
TINY = SMALL.network.model_copy(update={"encoder_width": 0.125, "pyramid_width": 8, "head_width": 8, "sampled": 16})


def film(boxes=(), classes=(), looked=(True, True), answers=(0.0, 0.0), known=(True, True), ignored=()):
    return FilmTargets(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(classes, dtype=torch.long),
        torch.tensor(ignored, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(looked),
        torch.tensor(answers),
        torch.tensor(known),
    )


def network():
    torch.manual_seed(0)
    return make_network(PLAN, TINY)


def test_fusion_is_the_fast_normalised_one_of_efficientdet():
    """O = Σ wᵢ Iᵢ / (ε + Σ wⱼ), w ≥ 0 by ReLU, section 3.3; then the convolution, set to the identity here."""
    fusion = Fusion(3, 2).eval()
    fusion.weights.data = torch.tensor([2.0, -1.0, 1.0])
    torch.nn.init.dirac_(fusion.depthwise.weight, groups=2)
    torch.nn.init.dirac_(fusion.pointwise.weight)
    torch.nn.init.zeros_(fusion.pointwise.bias)
    inputs = [torch.full((1, 2, 3, 3), value) for value in (3.0, 100.0, 6.0)]
    mixed = torch.tensor((2 * 3.0 + 1 * 6.0) / (EPSILON + 3))
    wanted = torch.nn.functional.silu(mixed) / (1 + fusion.norm.eps) ** 0.5
    torch.testing.assert_close(fusion(inputs), wanted.expand(1, 2, 3, 3))


def test_a_layer_of_the_pyramid_passes_down_and_up():
    """With every fusion the plain mean, three levels give what is counted by hand."""

    class Mean(torch.nn.Module):
        def forward(self, features):
            return sum(features) / len(features)

    layer = BiFPNLayer(3, 1)
    layer.down = torch.nn.ModuleList([Mean(), Mean()])
    layer.up = torch.nn.ModuleList([Mean(), Mean()])
    made = layer([torch.full((1, 1, 4, 4), 8.0), torch.full((1, 1, 2, 2), 4.0), torch.full((1, 1, 1, 1), 2.0)])
    between = (4 + 2) / 2
    finest = (8 + between) / 2
    middle = (4 + between + finest) / 3
    assert [float(one.mean()) for one in made] == pytest.approx([finest, middle, (2 + middle) / 2])


def test_the_pyramid_keeps_sizes_and_adds_a_level():
    features = [torch.rand(1, count, 32 // 2**k, 64 // 2**k) for k, count in enumerate((3, 5, 7, 9))]
    made = BiFPN((3, 5, 7, 9), 6, 2)(features)
    assert [tuple(one.shape[1:]) for one in made] == [(6, 32, 64), (6, 16, 32), (6, 8, 16), (6, 4, 8), (6, 2, 4)]
    assert halved(torch.rand(1, 1, 5, 7)).shape[2:] == (3, 4)


def test_chexdet_has_the_parts_of_its_figure():
    made = make_network(PLAN, CHEXDET.network)
    assert len(made.pyramid.layers) == 3
    convolutions = [one for one in made.head.convolutions if isinstance(one, torch.nn.Conv2d)]
    assert len(convolutions) == 4
    assert made.head.score.out_features == 2
    assert made.head.box.out_features == 8


def test_proposals_belong_to_each_class_by_its_own_boxes():
    """A proposal between two findings of different classes is on both, and its box of each class is that one's."""
    truth = film([[0, 0, 10, 10], [2, 0, 12, 10], [40, 40, 50, 50]], [0, 1, 1])
    proposals = torch.tensor([[1.0, 0, 11, 10], [40, 40, 50, 50], [20, 20, 30, 30]])
    on, boxes = assigned(proposals, truth, 2)
    assert on.tolist() == [[1, 1], [0, 1], [0, 0]]
    assert boxes[0].tolist() == [[0, 0, 10, 10], [2, 0, 12, 10]]


def test_a_class_that_nobody_looked_for_teaches_no_proposal():
    """Gradients of the branch of such a class come from its label alone, and from nothing where that is unknown."""
    made = network().train()
    images = torch.rand(1, 1, 64, 128)
    part = film([[8, 8, 40, 40]], [0], looked=(True, False), answers=(1.0, 0.0), known=(True, False))
    made.head.zero_grad()
    sum(made.losses(images, [part]).values()).backward()
    gradient = made.head.score.weight.grad
    assert gradient[0].abs().sum() > 0
    assert gradient[1].abs().sum() == 0


def test_what_lies_on_an_ignored_box_is_neither_right_nor_wrong():
    """Half of a box or more on an ignored one: such anchors and proposals take no part, findings beside it do."""
    ignored = torch.tensor([[0.0, 0, 64, 64], [0, 0, 0, 0]])
    boxes = torch.tensor([[0.0, 0, 32, 32], [40, 0, 80, 20], [56, 0, 96, 20], [100, 0, 120, 20], [0, 0, 0, 0]])
    assert on_ignored(boxes, ignored).tolist() == [True, True, False, False, False]
    made = network().train()
    anchors = torch.tensor([[0.0, 0, 32, 32], [90, 10, 120, 40], [66, 0, 80, 10]])
    told = {"boxes": torch.tensor([[90.0, 10, 120, 40]]), "ignored": ignored}
    for complete, labels in ((True, [-1, 1, 0]), (False, [-1, 1, -1])):
        found, _ = made.proposals.assign_targets_to_anchors([anchors], [told | {"complete": torch.tensor(complete)}])
        assert found[0].tolist() == labels


def test_half_precision_moves_no_anchor():
    """Places are counted in single precision whatever the network computes in; whole pixels end at 256 in bfloat16."""
    made, seen = network().eval(), []
    made.proposals.anchor_generator.register_forward_hook(lambda module, inputs, out: seen.append(out[0]))
    image = torch.rand(1, 1, 64, 128)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, _ = made(image)
    made(image)
    assert seen[0].dtype == torch.float32
    assert found[0].boxes.dtype == torch.float32
    assert torch.equal(seen[0], seen[1])


def test_a_film_by_its_label_moves_no_proposal():
    made = network().train()
    by_label = film(looked=(False, True), answers=(1.0, 0.0))
    losses = made.losses(torch.rand(2, 1, 64, 128), [by_label, by_label])
    assert float(losses["proposal"]) == float(losses["proposal box"]) == float(losses["box"]) == 0
    assert float(losses["label"]) > 0
    sum(losses.values()).backward()
    assert all(torch.isfinite(one.grad).all() for one in made.parameters() if one.grad is not None)
    assert made.proposals.head.cls_logits.weight.grad.abs().sum() == 0


def test_a_label_is_told_of_the_highest_proposal():
    logits = torch.tensor([[0.0, -2.0], [1.0, -1.0]])
    own = film(looked=(False, False), answers=(1.0, 0.0))
    wanted = np.log1p(np.exp(-1.0)) + np.log1p(np.exp(-1.0))
    assert float(label_loss(logits, own)) == pytest.approx(wanted)
    assert float(label_loss(logits, film())) == 0


def test_a_film_is_scored_by_its_highest_box_or_by_any():
    found = [Found(torch.zeros(3, 4), torch.tensor([0.5, 0.4, 0.2]), torch.tensor([0, 0, 1]))]
    highest = torch.tensor([[0.5, 0.2]])
    assert image_scores(found, highest, "highest").tolist() == highest.tolist()
    assert image_scores(found, highest, "noisy-or")[0].tolist() == pytest.approx([1 - 0.5 * 0.6, 0.2])
    nothing = [Found(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long))]
    assert image_scores(nothing, torch.tensor([[0.01, 0.0]]), "noisy-or")[0].tolist() == pytest.approx([0.01, 0.0])


def boxes_at(*scores, where=0.0, ignored=None):
    corners = np.array([[[where, 0], [where + 10, 10]]] * len(scores)).reshape(-1, 2, 2)
    return Boxes(corners, ("a",) * len(scores), "pixel", scores=list(scores), ignored=ignored)


def test_boxes_are_reported_from_the_score_of_the_highest_f1():
    """Of four films with a finding three are found, at 0.9, 0.6 and 0.3; false ones at 0.5 and 0.2. By hand: F1 from
    0.9 on 2/5, from 0.6 on 4/6, from 0.5 on 4/7, from 0.3 on 6/8, from 0.2 on 6/9."""
    truth = FilmTruth(Boxes([[[0, 0], [10, 10]]], ("a",)), np.array([True, True]), np.array([1.0, 0.0]))
    bare = FilmTruth(Boxes(), np.array([True, True]), np.zeros(2))
    unknown = FilmTruth(Boxes(), np.array([False, True]), np.array([1.0, 0.0]))
    found = [boxes_at(0.9), boxes_at(0.6), boxes_at(0.3), Boxes(), beside(0.5), beside(0.2), boxes_at(0.95)]
    truths = [truth, truth, truth, truth, bare, bare, unknown]
    readings = [Reading(one, np.zeros(2)) for one in found]
    points = choose_box_points(truths, readings, ("a", "b"))
    assert points["a"].threshold == 0.3
    assert points["b"].threshold == 0.5  # nothing decides
    assert reported(boxes_at(0.31, 0.3, 0.29), points).scores.tolist() == [0.31, 0.3]


def beside(score):
    """A false box, beside where findings are."""
    return boxes_at(score, where=50.0)


def test_a_certain_box_gives_no_infinite_score():
    found = [Found(torch.zeros(1, 4), torch.ones(1), torch.tensor([0]))]
    assert image_scores(found, torch.tensor([[1.0, 0.0]]), "noisy-or")[0].tolist() == pytest.approx([1.0, 0.0])


def test_boxes_lie_within_the_film_and_fall_in_score():
    found, shares = network().eval()(torch.rand(2, 1, 64, 128))
    for one in found:
        assert (one.boxes >= 0).all()
        assert (one.boxes <= torch.tensor([128, 64, 128, 64])).all()
        assert (one.scores.diff() <= 0).all()
    assert shares.shape == (2, 2)


def test_films_of_a_batch_do_not_touch_each_other():
    made, images = network().eval(), torch.rand(2, 1, 64, 128)
    both, alone = made(images)[1], made(images[:1])[1]
    torch.testing.assert_close(both[0], alone[0], atol=1e-6, rtol=0)


def test_targets_are_unpadded():
    batch = {
        "boxes": torch.arange(16.0).view(1, 4, 4),
        "classes": torch.tensor([[1, -1, 0, -1]]),
        "ignored": torch.zeros(1, 2, 4),
        "looked": torch.tensor([[True, False]]),
        "answer": torch.tensor([[1.0, 0.0]]),
        "known": torch.tensor([[True, False]]),
    }
    (one,) = film_targets(batch)
    assert one.classes.tolist() == [1, 0]
    assert one.boxes[:, 0].tolist() == [0, 8]
    assert not one.complete
    assert one.by_label.tolist() == [False, False]


def test_anchors_fit_their_boxes():
    """Boxes that are anchors of scale 3 themselves have an IoU of 1 with them."""
    extents = np.array([[12.0, 12.0], [24.0, 24.0], [192.0, 192.0]])
    scale, ratios, words = plan_anchors(extents)
    assert (scale, ratios) == (3.0, (1.0,))
    assert "1.00" in words
    assert best_overlap(extents, 3.0, ratios) == pytest.approx([1, 1, 1])
    assert plan_anchors(np.zeros((0, 2)))[:2] == (8.0, (0.5, 1.0, 2.0))


@pytest.mark.parametrize(
    ("shapes", "settings", "size"),
    [
        ([(640, 480, 1)] * 3, {"most_pixels": 320 * 256}, (256, 320)),
        ([(2048, 2500, 1)], {}, (576, 448)),
        ([(28, 28, 1)], {}, (128, 128)),
        ([(96, 64, 1)], {}, (128, 192)),
        ([(4000, 20, 1)], {"most_pixels": 128**2}, (128, 1792)),
        ([(640, 480, 1)], {"size": (200, 300)}, (192, 320)),
    ],
)
def test_the_input_keeps_the_aspect_in_multiples_of_64(shapes, settings, size):
    assert plan_size(shapes, NetworkSettings(**settings))[0] == size
