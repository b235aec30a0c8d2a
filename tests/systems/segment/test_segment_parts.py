"""Planning, loss, samples and inference of Segment."""

import numpy as np
import pytest
import torch

from scanweave.augment.settings import AugmentationSettings
from scanweave.studies.geometry import Geometry
from scanweave.studies.preparing.plan import IntensityRule, Plan
from scanweave.studies.preparing.preparation import Frame
from scanweave.studies.preparing.settings import PreparationSettings
from scanweave.systems.segment.config import InferenceSettings, NetworkSettings, SamplingSettings
from scanweave.systems.segment.inference import Segmenter, native_labels
from scanweave.systems.segment.network import make_network
from scanweave.systems.segment.objective import SegmentObjective, dice_loss
from scanweave.systems.segment.planning import plan_network
from scanweave.systems.segment.samples import PatchSamples, class_numbers, classes_of

PLAIN = SamplingSettings(foreground=1.0, mirror=False, rotate=False)


def plan(shape, spacing=(1.0, 1.0, 1.0), **settings):
    return plan_network([shape] * 4, spacing, NetworkSettings(**settings))


def test_small_volume_is_one_patch_and_halved_three_times():
    made = plan((35, 50, 36))
    assert made.dimensions == 3
    assert made.patch == (40, 56, 40)
    assert made.strides == ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))


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
    weights = SegmentObjective(network).weights
    assert weights[-1] == 0
    assert weights[0] == pytest.approx(2 * weights[1])
    assert sum(weights) == pytest.approx(1)


class Cached:
    """A prepared study in memory."""

    def __init__(self, name, arrays, labels):
        self.id, self.names, self._arrays, self._labels = name, tuple(arrays), arrays, labels
        self.shape = labels.shape

    def volume(self, name):
        return self._arrays[name]

    def mask(self, name):
        return self._labels


@pytest.fixture
def studies():
    rng = np.random.default_rng(0)
    labels = np.zeros((20, 22, 18), np.int16)
    labels[5:9, 6:12, 7:10] = 4
    t1 = labels.astype(np.float32) + 10
    t2 = rng.normal(size=labels.shape).astype(np.float32)
    return [Cached("a", {"t1": t1, "t2": t2}, labels), Cached("b", {"t1": t1}, labels)]


def samples(studies, sampling=PLAIN, size=(16, 16, 16)):
    made = plan(size)
    return PatchSamples(studies, ("t1", "t2"), "lesion", (4,), made, sampling, AugmentationSettings(), 0)


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


def test_slice_samples_have_two_axes(studies):
    made = plan((16, 16, 1))
    found = PatchSamples(studies, ("t1", "t2"), "lesion", (4,), made, PLAIN, AugmentationSettings(), 0)[0]
    assert found["image"].shape == (2, 16, 16)
    np.testing.assert_array_equal(found["image"][0] == 14, found["mask"] == 1)


def test_thick_slices_are_not_turned_into_each_other(studies):
    made = plan_network([(20, 22, 18)] * 4, (1.0, 1.0, 5.0), NetworkSettings(patch=(16, 16, 8)))
    always = AugmentationSettings(rotation_share=1.0, scaling_share=1.0, flip_shares=0.0)
    labels = np.zeros((20, 22, 18), np.int16)
    labels[..., 9] = 4  # one slice: turned in its plane it stays one slice
    flat = [Cached("a", {"t1": labels.astype(np.float32)}, labels)]
    sampling = SamplingSettings(foreground=1.0, mirror=False)
    for index in range(4):
        found = PatchSamples(flat, ("t1",), "lesion", (4,), made, sampling, always, 0)[index]["mask"].numpy()
        assert found.shape == (16, 16, 8)
        assert found.any(axis=(0, 1)).sum() == 1


def test_values_that_are_not_learnt_are_background():
    numbers = class_numbers((2, 5))
    assert classes_of(np.array([0, 2, 5, 3, 9, -1]), numbers).tolist() == [0, 1, 2, 0, 0, 0]


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
    labels = native_labels(shares, (2, 7), frame, settings)
    assert labels.shape == native.shape
    assert np.argwhere(labels == 7).tolist() == [[10 - 1 - 3, 5, 4]]  # x is mirrored in the file
    assert set(np.unique(labels)) == {0, 7}
