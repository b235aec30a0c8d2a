"""Planning, loss, samples and inference of Segment."""

import numpy as np
import pytest
import torch

from scanweave.augment.settings import AugmentationSettings
from scanweave.errors import ScanweaveError
from scanweave.framework.segmentation.inference import Segmenter
from scanweave.framework.segmentation.native_masks import native_labels, native_masks
from scanweave.framework.segmentation.network import make_network
from scanweave.framework.segmentation.objective import SegmentationObjective, dice_loss, soft_dice_loss
from scanweave.framework.segmentation.planning import plan_network
from scanweave.framework.segmentation.samples import PatchSamples
from scanweave.framework.segmentation.settings import InferenceSettings, NetworkSettings, SamplingSettings
from scanweave.framework.segmentation.target import SegmentationTarget, learn_target, numbered_target
from scanweave.studies.geometry import Geometry
from scanweave.studies.mask_targets import Structure
from scanweave.studies.preparing.plan import IntensityRule, Plan
from scanweave.studies.preparing.preparation import Frame
from scanweave.studies.preparing.settings import PreparationSettings

PLAIN = SamplingSettings(foreground=1.0, rotate=False)


def plan(shape, spacing=(1.0, 1.0, 1.0), mirror="none", orientation="RAS", **settings):
    return plan_network([shape] * 4, spacing, NetworkSettings(**settings), mirror, orientation)


def test_small_volume_is_one_patch_and_halved_three_times():
    made = plan((35, 50, 36))
    assert made.dimensions == 3
    assert made.patch == (40, 56, 40)
    assert made.strides == ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))


def test_patch_without_padding_lies_inside_the_study():
    made = plan((35, 50, 36), padded=False)
    assert made.patch == (32, 48, 32)
    assert made.strides == plan((35, 50, 36)).strides


@pytest.mark.parametrize(
    ("mirror", "orientation", "dimensions", "axes"),
    [
        ("all", "RAS", 3, (0, 1, 2)),
        ("all", "RAS", 2, (0, 1)),
        ("left-right", "RAS", 3, (0,)),
        ("left-right", "ASL", 3, (2,)),
        ("left-right", "ASL", 2, ()),
        ("none", "RAS", 3, ()),
    ],
)
def test_mirrored_axes_follow_the_orientation(mirror, orientation, dimensions, axes):
    assert plan((32, 32, 32), mirror=mirror, orientation=orientation, dimensions=dimensions).mirrored == axes


def test_true_and_false_of_old_runs_are_read():
    assert [SamplingSettings(mirror=value).mirror for value in (True, False)] == ["all", "none"]


def test_large_volume_gets_a_patch_of_the_asked_size():
    made = plan((512, 512, 200), (0.8, 0.8, 1.6), patch_voxels=96**3)
    assert np.prod(made.patch) <= 1.6 * 96**3  # rounded up so that every stage divides it
    assert made.patch[0] * 0.8 == pytest.approx(made.patch[2] * 1.6, rel=0.35)  # a cube in millimetres


def test_thick_slices_are_halved_in_their_planes_first():
    made = plan((256, 256, 24), (0.9, 0.9, 5.0), patch_voxels=256 * 256 * 24)
    assert made.strides[1] == (2, 2, 1)
    assert made.kernels[0] == (3, 3, 1)
    assert made.kernels[-1] == (3, 3, 3)


def test_few_slices_are_segmented_one_by_one():
    assert plan((64, 64, 1)).dimensions == 2
    assert plan((64, 64, 1)).patch[2] == 1


def test_dice_loss_by_hand():
    target = torch.tensor([[0, 1, 1, 0]])
    sure = torch.full((1, 2, 4), -50.0)
    sure[0, 1, :2] = 50.0  # called: voxels 0 and 1; true: 1 and 2; Dice = 2·1 / (2 + 2)
    sure[0, 0, 2:] = 50.0
    assert float(dice_loss(sure, target)) == pytest.approx(0.5, abs=1e-4)


def test_coarsest_output_has_no_weight_and_the_others_halve():
    network = make_network(plan((32, 32, 32)), 1, 3, 4)
    weights = SegmentationObjective(network).weights
    assert weights[-1] == 0
    assert weights[0] == pytest.approx(2 * weights[1])
    assert sum(weights) == pytest.approx(1)


class Cached:
    """A prepared study in memory."""

    def __init__(self, name, arrays, labels):
        self.id, self.names, self._arrays, self._labels = name, tuple(arrays), arrays, labels
        self.shape = next(iter(arrays.values())).shape
        self.masks = tuple(labels) if isinstance(labels, dict) else ("lesion",)

    def volume(self, name):
        return self._arrays[name]

    def mask(self, name):
        return self._labels[name] if isinstance(self._labels, dict) else self._labels


@pytest.fixture
def studies():
    rng = np.random.default_rng(0)
    labels = np.zeros((20, 22, 18), np.int16)
    labels[5:9, 6:12, 7:10] = 4
    t1 = labels.astype(np.float32) + 10
    t2 = rng.normal(size=labels.shape).astype(np.float32)
    return [Cached("a", {"t1": t1, "t2": t2}, labels), Cached("b", {"t1": t1}, labels)]


LESION = numbered_target({"lesion": (4,)})


def samples(studies, sampling=PLAIN, size=(16, 16, 16)):
    made = plan(size)
    return PatchSamples(studies, ("t1", "t2"), LESION, made, sampling, AugmentationSettings(), 0)


def test_image_and_mask_of_a_sample_show_the_same_place(studies):
    for index in range(6):
        sample = samples(studies)[index]
        assert sample["image"].shape == (2, 16, 16, 16)
        np.testing.assert_array_equal(sample["image"][0] == 14, sample["mask"] == 1)  # t1 is label + 10
        assert (sample["mask"] == 1).any()  # every patch is around the lesion here


def test_absent_scan_is_marked_and_zero(studies):
    found = {samples(studies)[index]["case"]: samples(studies)[index] for index in range(4)}
    assert found["a"]["present"].tolist() == [True, True]
    assert found["b"]["present"].tolist() == [True, False]
    assert not found["b"]["image"][1].any()


def test_sample_is_a_function_of_seed_and_number(studies):
    sampling = SamplingSettings(drop_scans=0.5)
    one, two = samples(studies, sampling), samples(studies, sampling)
    one[3]
    for index in (7, 2):
        for name in ("image", "present", "mask"):
            assert torch.equal(one[index][name], two[index][name])


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 1.0, 5.0)])
def test_samples_are_mirrored_along_the_planned_axes_only(spacing):
    labels = np.zeros((16, 16, 16), np.int16)
    labels[1, 2, 3] = 4
    study = [Cached("a", {"t1": labels.astype(np.float32)}, labels)]
    made = plan((16, 16, 16), spacing, mirror="left-right")
    found = PatchSamples(study, ("t1",), LESION, made, PLAIN, AugmentationSettings(), 0)
    places = {tuple(np.argwhere(found[index]["mask"].numpy())[0]) for index in range(12)}
    assert places == {(1, 2, 3), (14, 2, 3)}


def test_slice_samples_have_two_axes(studies):
    made = plan((16, 16, 1))
    found = PatchSamples(studies, ("t1", "t2"), LESION, made, PLAIN, AugmentationSettings(), 0)[0]
    assert found["image"].shape == (2, 16, 16)
    np.testing.assert_array_equal(found["image"][0] == 14, found["mask"] == 1)


def test_thick_slices_are_not_turned_into_each_other(studies):
    made = plan_network([(20, 22, 18)] * 4, (1.0, 1.0, 5.0), NetworkSettings(patch=(16, 16, 8)))
    always = AugmentationSettings(rotation_share=1.0, scaling_share=1.0, flip_shares=0.0)
    labels = np.zeros((20, 22, 18), np.int16)
    labels[..., 9] = 4  # one slice: turned in its plane it stays one slice
    flat = [Cached("a", {"t1": labels.astype(np.float32)}, labels)]
    sampling = SamplingSettings(foreground=1.0)
    for index in range(4):
        found = PatchSamples(flat, ("t1",), LESION, made, sampling, always, 0)[index]["mask"].numpy()
        assert found.shape == (16, 16, 8)
        assert found.any(axis=(0, 1)).sum() == 1


def test_values_that_are_not_learnt_are_background():
    target = numbered_target({"organ": (2, 5)})
    assert target.classes([np.array([0, 2, 5, 3, 9, -1])]).tolist() == [0, 1, 2, 0, 0, 0]


@pytest.mark.parametrize("dimensions", [2, 3])
def test_absent_scan_changes_no_bit_of_a_segmentation(dimensions):
    design = plan((16, 16, 16), dimensions=dimensions)
    segmenter = Segmenter(make_network(design, 2, 2, 4), ("t1", "t2"), design, InferenceSettings(mirror=False))
    t1 = np.random.default_rng(0).normal(size=(20, 18, 17)).astype(np.float32)
    shares = segmenter.probabilities({"t1": t1})
    assert shares.shape == (2, 20, 18, 17)
    np.testing.assert_allclose(shares.sum(0), 1, atol=1e-5)
    stained = Segmenter(segmenter.network, ("t1", "t2"), design, segmenter.settings)
    np.testing.assert_array_equal(stained.probabilities({"t1": t1}), shares)
    assert (segmenter.probabilities({"t1": t1, "t2": t1}) != shares).any()


def test_labels_go_back_to_the_native_grid_with_their_values():
    native = Geometry.of((10, 12, 8), np.diag([-1.0, 1.0, 1.0, 1.0]))
    working = native.oriented("RAS")
    frame = Frame(native, working, (2, 3, 1), (5, 6, 4), {})
    rules = {"t1": IntensityRule(kind="zscore", low=0, high=1)}
    settings = Plan(settings=PreparationSettings(crop=False), spacing=None, rules=rules, reasons=[])
    shares = np.zeros((3, 5, 6, 4), np.float32)
    shares[0] = 1
    shares[:, 1, 2, 3] = (0.2, 0.1, 0.7)
    target = numbered_target({"organ": (2, 7)})
    labels = native_masks(shares, target, ["organ"], frame, settings)["organ"]
    np.testing.assert_array_equal(labels, native_labels(shares, (2, 7), frame, settings))
    assert labels.shape == native.shape
    assert np.argwhere(labels == 7).tolist() == [[10 - 1 - 3, 5, 4]]  # x is mirrored in the file
    assert set(np.unique(labels)) == {0, 7}


TUMOUR, NODE = Structure("tumour", "tumour"), Structure("node", "node", (3,))
BOTH = (TUMOUR, NODE)


def drawn(shared):
    """A study with a tumour and a node, and so many slices of 36 voxels in both."""
    tumour, node = np.zeros((2, 12, 12, 12), np.int16)
    tumour[2:6, 3:9, 3:9] = 255
    node[6 - shared : 9, 3:9, 3:9] = 3
    return Cached("a", {"t1": tumour.astype(np.float32) + 2 * node}, {"tumour": tumour, "node": node})


def test_masks_that_exclude_each_other_become_classes():
    target = learn_target(BOTH, [drawn(0)], {})
    assert (target.exclusive, target.outputs) == (True, 3)
    assert "tumour, node exclude each other in all 1 study" in target.reasons[-1]
    study = drawn(0)
    classes = target.encoded([study.mask("tumour"), study.mask("node")])
    np.testing.assert_array_equal(classes == 1, study.mask("tumour") > 0)
    np.testing.assert_array_equal(classes == 2, study.mask("node") > 0)


def test_masks_that_overlap_in_one_training_study_get_a_sigmoid_each():
    target = learn_target(BOTH, [drawn(0), drawn(1), drawn(0)], {})
    assert (target.exclusive, target.outputs) == (False, 2)
    assert "tumour and node share 36 voxels in 1 of 3 training studies" in target.reasons[-1]


def test_regions_of_one_label_map_overlap():
    labels = np.zeros((4, 4, 4), np.int16)
    labels[:2], labels[2] = 1, 2
    regions = (Structure("whole", "organ", (1, 2)), Structure("core", "organ", (2,)))
    study = Cached("a", {"t1": labels}, labels)
    assert not learn_target(regions, [study], {}).exclusive
    assert learn_target((Structure("shell", "organ", (1,)), regions[1]), [study], {}).exclusive


def test_structure_that_no_training_study_shows_is_left_out_and_told():
    with_third = (*BOTH, Structure("clip", "node", (9,)))
    target = learn_target(with_third, [drawn(0)], {})
    assert target.names == ("tumour", "node")
    assert target.reasons[0] == "structures: clip left out, in no training study"
    empty = Cached("a", {"t1": np.zeros((4, 4, 4))}, np.zeros((4, 4, 4), np.int16))
    with pytest.raises(ScanweaveError, match="mask tumour, node: is empty in all training studies"):
        learn_target(BOTH, [empty], {})


def test_overlapping_structures_of_a_sample_lie_where_the_image_shows_them():
    study = drawn(2)
    target = SegmentationTarget(structures=BOTH, exclusive=False)
    made = PatchSamples([study], ("t1",), target, plan((8, 8, 8), dimensions=3), PLAIN, AugmentationSettings(), 0)
    for index in range(4):
        sample = made[index]
        image, mask = sample["image"][0], sample["mask"]
        assert mask.shape == (2, 8, 8, 8)
        np.testing.assert_array_equal(mask[0], (image == 255) | (image == 261))  # t1 is tumour + 2 node
        np.testing.assert_array_equal(mask[1], (image == 6) | (image == 261))
    flat = PatchSamples([study], ("t1",), target, plan((8, 8, 1)), PLAIN, AugmentationSettings(), 0)[1]
    np.testing.assert_array_equal(flat["mask"][0], (flat["image"][0] == 255) | (flat["image"][0] == 261))


def test_loss_of_overlapping_structures_by_hand():
    network = make_network(plan((8, 8, 8), dimensions=3), 1, 2, 4)
    truth = torch.rand(1, 2, 8, 8, 8) < 0.3
    batch = {"image": torch.randn(1, 1, 8, 8, 8), "present": torch.ones(1, 1, dtype=torch.bool), "mask": truth}
    found = SegmentationObjective(network, exclusive=False)(batch)
    shares = network(batch["image"], batch["present"]).detach().double().sigmoid()
    entropy = -torch.where(truth, shares, 1 - shares).log().mean()
    assert float(found["entropy"]) == pytest.approx(float(entropy), rel=1e-4)
    dice = 2 * (shares * truth).sum((0, 2, 3, 4)) / (shares.sum((0, 2, 3, 4)) + truth.sum((0, 2, 3, 4)))
    assert float(found["dice_loss"]) == pytest.approx(float(1 - dice.mean()), rel=1e-4)
    assert float(soft_dice_loss(truth.float(), truth)) == pytest.approx(0, abs=1e-6)


@pytest.fixture
def native():
    """Make masks of probabilities on a native grid that is the prepared one."""
    grid = Geometry.of((1, 1, 4), np.eye(4))
    rules = {"t1": IntensityRule(kind="zscore", low=0, high=1)}
    settings = Plan(settings=PreparationSettings(crop=False), spacing=None, rules=rules, reasons=[])

    def made(shares, target):
        planes = np.array(shares, np.float32).reshape(len(shares), 1, 1, 4)
        frame = Frame(grid, grid, (0, 0, 0), grid.shape, {})
        masks = native_masks(planes, target, target.masks, frame, settings)
        return {name: data[0, 0].tolist() for name, data in masks.items()}

    return made


def test_overlapping_masks_are_called_apart_above_a_half(native):
    found = native([(0.9, 0.51, 0.2, 0.0), (0.8, 0.49, 0.6, 0.0)], SegmentationTarget(structures=BOTH, exclusive=False))
    assert found == {"tumour": [1, 1, 0, 0], "node": [3, 0, 3, 0]}  # the number that the mask of nodes has


def test_classes_go_back_to_the_masks_that_they_came_from(native):
    shares = [(0.1, 0.4, 0.2, 0.9), (0.6, 0.35, 0.3, 0.1), (0.3, 0.25, 0.5, 0.0)]
    assert native(shares, SegmentationTarget(structures=BOTH)) == {"tumour": [1, 0, 0, 0], "node": [0, 0, 3, 0]}


def test_regions_of_a_label_map_are_written_by_the_most_probable_number(native):
    regions = (Structure("whole", "organ", (1, 2)), Structure("core", "organ", (2,)))
    shares = [(0.9, 0.9, 0.1, 0.3), (0.8, 0.2, 0.1, 0.9)]
    # the last is surely core, hardly whole: no number says so, and core (0.3 × 0.9) is likelier than none (0.7 × 0.1)
    assert native(shares, SegmentationTarget(structures=regions, exclusive=False))["organ"] == [2, 1, 0, 2]


def test_one_hot_masks_come_back_with_their_background(native):
    hot = (Structure("a", "hot", channel=1), Structure("b", "hot", channel=2))
    several = SegmentationTarget(structures=hot, exclusive=False, channels={"hot": 3})
    made = native([(0.9, 0.9, 0.1, 0.1), (0.9, 0.1, 0.1, 0.1)], several)
    assert made["hot"] == [[0, 1, 1], [0, 1, 0], [1, 0, 0], [1, 0, 0]]
    apart = SegmentationTarget(structures=hot, channels={"hot": 3})
    made = native([(0.1, 0.1, 0.9, 0.9), (0.8, 0.1, 0.1, 0.1), (0.1, 0.8, 0, 0)], apart)
    assert made["hot"] == [[0, 1, 0], [0, 0, 1], [1, 0, 0], [1, 0, 0]]
