"""Channels out of networks: which, how many, and that what is left computes the same; faults of the released code."""

import json

import pytest
import torch
from torch import nn

import scanweave as sw
from scanweave import api
from scanweave.cli.main import main
from scanweave.errors import ScanweaveError
from scanweave.framework.pruning.pruned_run import FILE
from scanweave.framework.pruning.rankings import beta_scores, by_output, channel_scores
from scanweave.framework.pruning.settings import RANKINGS
from scanweave.framework.pruning.structure import count_flops, largest_difference, masked, prune_to
from scanweave.nets.encoders import make_encoder
from scanweave.nets.pruned_widths import narrow, widths_of
from scanweave.pruning import prune
from scanweave.studies.splits import make_splits, write_splits

FEW = {"steps": 4, "warm_up": 0, "validate_every": 2, "batch_size": 4, "log_every": 1, "device": "cpu", "workers": 0}
pytest.importorskip("torch_pruning")


def looped(layer, images, *, inverse):
    """Beta-Rank position by position, as released but with the right axes: slow, and surely what is meant."""
    with torch.no_grad():
        outputs = layer(images)
    pad = layer.padding[0]
    seen = nn.functional.pad(images.std(dim=0, unbiased=False), [pad] * 4)
    made = outputs.std(dim=0, unbiased=False)
    size, step = layer.kernel_size[0], layer.stride[0]
    scores = torch.zeros(len(made))
    for channel in range(len(made)):
        values = []
        for y in range(made.shape[1]):
            for x in range(made.shape[2]):
                patch = seen[:, y * step : y * step + size, x * step : x * step + size]
                weight = layer.weight[channel].abs()
                if inverse:
                    values.append((weight * patch).mean() / made[channel, y, x])
                else:
                    values.append(torch.where(patch > 0, weight / patch, 0.0).mean() * made[channel, y, x])
        scores[channel] = torch.stack(values).mean()
    return scores


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 0)])
def test_beta_is_the_loop_over_positions(inverse, stride, padding):
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 5, 3, stride=stride, padding=padding)
    images = torch.randn(12, 3, 9, 9)
    with torch.no_grad():
        outputs = layer(images)
    of = images.std(dim=0, unbiased=False), outputs.std(dim=0, unbiased=False)
    found = beta_scores(layer, *of, inverse=inverse)
    assert torch.allclose(found, looped(layer, images, inverse=inverse), rtol=1e-5)


def test_the_two_readings_are_reciprocal_and_not_the_same():
    layer = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        layer.weight[:] = torch.tensor([[1.0], [2.0]])
    of = torch.tensor([4.0]), torch.tensor([4.0, 8.0])
    assert beta_scores(layer, *of).tolist() == [1 / 4 * 4, 2 / 4 * 8]
    assert beta_scores(layer, *of, inverse=True).tolist() == [4 / 4, 2 * 4 / 8]


def test_inputs_that_never_vary_are_passed_over():
    layer = nn.Conv2d(2, 1, 1, bias=False)
    with torch.no_grad():
        layer.weight[:] = 1.0
    dead = torch.stack([torch.zeros(4, 4), torch.full((4, 4), 2.0)])
    assert beta_scores(layer, dead, torch.ones(1, 4, 4)).item() == pytest.approx(1 / 2 / 2)


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (nn.Conv3d(4, 6, 3, padding=1, groups=2), (4, 5, 5, 5)),
        (nn.ConvTranspose3d(4, 6, 2, stride=2), (4, 5, 5, 5)),
        (nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1, groups=2), (4, 5, 5)),
        (nn.Conv1d(4, 6, 3), (4, 9)),
        (nn.Linear(7, 6), (7,)),
    ],
)
def test_every_layer_has_a_score_for_each_channel_that_it_makes(layer, size):
    inputs = torch.randn(8, *size)
    with torch.no_grad():
        outputs = layer(inputs)
    found = beta_scores(layer, inputs.std(dim=0), outputs.std(dim=0))
    assert found.shape == (6,)
    assert (found > 0).all()
    assert by_output(layer.weight, layer).shape[0] == 6


class Joined(nn.Module):
    """Residual, depthwise, concatenated, transposed: what depends on what."""

    def __init__(self, dimensions=2):
        super().__init__()
        conv, norm = (nn.Conv2d, nn.BatchNorm2d) if dimensions == 2 else (nn.Conv3d, nn.InstanceNorm3d)
        up = nn.ConvTranspose2d if dimensions == 2 else nn.ConvTranspose3d
        self.first, self.norm = conv(1, 8, 3, padding=1), norm(8)
        self.side = conv(8, 8, 3, padding=1, bias=False)
        self.depthwise = conv(8, 8, 3, padding=1, groups=8)
        self.down, self.up = conv(8, 12, 3, stride=2, padding=1), up(12, 6, 2, stride=2)
        self.joined = conv(14, 10, 3, padding=1)
        self.head = conv(10, 3, 1)

    def forward(self, image, present):
        first = torch.relu(self.norm(self.first(image)))
        whole = torch.relu(first + self.side(first))
        whole = torch.relu(self.depthwise(whole))
        up = torch.relu(self.up(torch.relu(self.down(whole))))
        return self.head(torch.relu(self.joined(torch.cat([whole, up], dim=1))))


class MeanLoss(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, batch):
        return {"loss": self.network(batch["image"], batch["present"]).square().mean()}


def plain_pass(network, inputs):
    return network(*inputs)


@pytest.mark.parametrize("ranking", RANKINGS)
@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_pruned_network_is_the_same_as_one_with_zeros(ranking, dimensions):
    if ranking == "bn" and dimensions == 3:
        return  # it has no batch norm
    torch.manual_seed(1)
    network = Joined(dimensions).eval()
    images, present = torch.randn(6, 1, *(16,) * dimensions), torch.ones(6, 1, dtype=torch.bool)
    scores = channel_scores(network, MeanLoss(network), [{"image": images, "present": present}], ranking, 0)
    inputs = images[:1], present[:1]
    made = prune_to(network, inputs, scores, 0.5, ("head",), plain_pass, "run")
    assert made.after <= 0.5 * made.before
    assert made.after == count_flops(made.network, inputs)
    assert made.kept["head"] == (3, 3)
    twin = masked(network, made.removed)
    assert largest_difference(twin(images, present), made.network(images, present)) < 1e-5
    assert not torch.allclose(network(images, present), made.network(images, present), rtol=1e-3)
    again = Joined(dimensions).eval()
    weights = made.network.state_dict()
    narrow(again, widths_of(made.network), {name: value.shape for name, value in weights.items()})
    again.load_state_dict(weights)
    assert torch.equal(again(images, present), made.network(images, present))


def test_kept_weights_and_norms_are_those_of_the_parent():
    """The released code scales kept weights by the rank of another channel, and leaves the batch norm behind."""
    torch.manual_seed(2)
    network = Joined().eval()
    nn.init.uniform_(network.norm.weight)
    inputs = torch.randn(1, 1, 16, 16), torch.ones(1, 1, dtype=torch.bool)
    scores = channel_scores(network, network, [], "l1", 0)
    made = prune_to(network, inputs, scores, 0.6, ("head",), plain_pass, "run")
    kept = [channel for channel in range(8) if channel not in made.removed["first"]]
    assert torch.equal(made.network.first.weight, network.first.weight[kept])
    assert torch.equal(made.network.norm.weight, network.norm.weight[kept])
    assert torch.equal(made.network.norm.running_var, network.norm.running_var[kept])


def test_the_lowest_channels_go():
    network = nn.Sequential(nn.Conv2d(1, 4, 1, bias=False), nn.ReLU(), nn.Conv2d(4, 1, 1))
    with torch.no_grad():
        network[0].weight[:, 0, 0, 0] = torch.tensor([0.1, 3.0, 2.0, 0.2])
    scores = channel_scores(network, network, [], "l1", 0)
    made = prune_to(network, (torch.randn(1, 1, 4, 4),), {"0": scores["0"]}, 0.5, ("2",), plain_pass, "run")
    assert made.removed["0"] == [0, 3]


def test_the_work_that_is_left_is_what_was_asked():
    network = make_encoder("resnet18", 1, 2).eval()
    inputs = (torch.randn(1, 1, 32, 32),)
    scores = channel_scores(network, network, [], "l1", 0)
    made = prune_to(network, inputs, scores, 0.4, (), lambda net, given: net(*given)[-1], "run")
    assert 0.38 < made.after / made.before <= 0.4


def test_a_pruned_run_is_a_run_like_any_other(run, films, tmp_path, capsys):
    out = tmp_path / "half"
    asked = ["prune", str(run), "--out", str(out), "--images", "6", "--steps", "2", "--device", "cpu"]
    assert main(asked) == 0
    text = capsys.readouterr().out
    assert "pruned by beta" in text
    assert "scanweave evaluate" in text
    told = json.loads((out / FILE).read_text())
    assert told["flops"][1] <= 0.5 * told["flops"][0]
    made = api.open_run(out)
    assert sum(one.numel() for one in made.classifier.network.parameters()) < 0.8 * sum(
        one.numel() for one in api.open_run(run).classifier.network.parameters()
    )
    assert api.predict(made, films, tmp_path / "p", part="test").made["label"] == len(films.part("test"))
    assert main(["evaluate", str(run), "--cohort", str(films.folder)]) == 0
    assert main(["evaluate", str(out), "--cohort", str(films.folder), "--against", str(run)]) == 0
    assert made.report().is_file()
    assert main(asked) == 0  # the same call finds it done
    assert main([*asked, "--flops", "0.3"]) == 2
    assert (
        main(["prune", str(out), "--out", str(tmp_path / "less"), "--images", "6", "--steps", "1", "--flops", "0.6"])
        == 0
    )
    smaller = json.loads((tmp_path / "less" / FILE).read_text())
    assert smaller["flops"][0] == told["flops"][1]
    capsys.readouterr()


def test_a_call_that_was_stopped_goes_on_with_the_same_channels(run, tmp_path):
    def stop(line):
        if line.startswith("pruned by"):
            raise KeyboardInterrupt

    settings = {"images": 6, "ranking": "random", "device": "cpu", "steps": 3}
    sw.prune(run, tmp_path / "whole", **settings, say=str)
    with pytest.raises(KeyboardInterrupt):
        sw.prune(run, tmp_path / "half", **settings, say=stop)
    assert (tmp_path / "half" / FILE).is_file()
    sw.prune(run, tmp_path / "half", **settings, say=str)
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "half")]
    assert weights[0] == weights[1]


def test_segment_keeps_the_heads_of_all_sizes(tmp_path):
    made = sw.simulate_brain(tmp_path / "c", subjects=5, seed=0, spacing=8.0, sequences=("t1",))
    write_splits(made.folder, make_splits(made.patients, 3, seed=1))
    network = {"first_channels": 8, "stages": 3, "patch": [16, 16, 16]}
    training = {name: value for name, value in FEW.items() if name != "batch_size"}
    settings = {"mask": "brain", "network": network, "training": training}
    cohort = sw.Cohort.open(made.folder)
    api.fit("segment", cohort, tmp_path / "run", config=settings, say=str)
    pruned = sw.prune(tmp_path / "run", tmp_path / "half", images=4, steps=2, device="cpu", say=str)
    assert len(pruned.evaluate(cohort, say=str))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"flops": 0.0001}, r"cannot be reached: with a channel in every layer 0\.0\d+ is left"),
        ({"ranking": "bn", "flops": 0.5, "cohort": "/nowhere"}, "nowhere"),
        ({"flops": 2.0}, "flops"),
        ({"ranking": "magic"}, "ranking"),
        ({"cohort": "/nowhere"}, "nowhere"),
    ],
)
def test_what_cannot_be_pruned_so_is_refused(run, tmp_path, more, words):
    settings = {"images": 6, "steps": 1, "device": "cpu", "say": str, **more}
    with pytest.raises(ScanweaveError, match=words):
        sw.prune(run, tmp_path / "out", **settings)


def test_narrow_layers_keep_a_channel_and_less_work_asked_leaves_less():
    network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 64, 3), nn.ReLU(), nn.Conv2d(64, 1, 3))
    inputs = (torch.randn(1, 1, 16, 16),)
    scores = channel_scores(network, network, [], "l1", 0)
    left = [prune_to(network, inputs, scores, share, ("4",), plain_pass, "run").after for share in (0.5, 0.05, 0.01)]
    assert left[0] > left[1] > left[2]


def test_a_cohort_that_is_divided_in_another_way_is_refused(run, films, tmp_path):
    splits = films.folder / "splits.json"
    before = splits.read_text()
    try:
        write_splits(films.folder, make_splits(films.patients, 3, seed=7), again=True)
        with pytest.raises(ScanweaveError, match="is divided in another way than for the run"):
            sw.prune(run, tmp_path / "out", images=6, steps=1, device="cpu", say=str)
    finally:
        splits.write_text(before)


def test_a_ranking_that_says_nothing_is_refused(tmp_path):
    network = Joined(3).eval()
    assert channel_scores(network, network, [], "bn", 0) == {}


def test_a_class_that_no_sample_shows_is_told(run, films, tmp_path, monkeypatch):
    from scanweave.systems.classify.task import ClassifyTask

    monkeypatch.setattr(ClassifyTask, "sample_classes", lambda self: ["a", "b", "rare"])
    with pytest.raises(ScanweaveError, match="class rare is in none of 40 training samples"):
        sw.prune(run, tmp_path / "out", images=2, steps=1, device="cpu", say=str)


def test_systems_whose_networks_cannot_be_pruned_say_so(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "weights.safetensors").write_bytes(b"")
    (folder / "run.json").write_text(json.dumps({"format": 1, "system": "acid", "state": "finished"}))
    with pytest.raises(ScanweaveError, match=r"networks of acid cannot be pruned\. Name a run of"):
        sw.prune(folder, tmp_path / "out")


def test_rounds_lead_to_what_was_asked_of_the_first_network(run, tmp_path):
    lines = []
    made = prune(run, tmp_path / "out", flops=0.3, ranking="l1", rounds=2, steps=1, device="cpu", say=lines.append)
    first, second = (json.loads((tmp_path / name / FILE).read_text())["flops"] for name in ("out-round-1", "out"))
    assert first[1] == second[0]
    assert 0.5 < first[1] / first[0] <= 0.3**0.5
    assert 0.2 < second[1] / first[0] <= 0.3
    assert made.run.folder == tmp_path / "out"
    assert sum(line.startswith("round ") for line in lines) == 2
    with pytest.raises(ScanweaveError, match="1 to 20"):
        prune(run, tmp_path / "none", rounds=0)
