import hashlib
from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.networks.blocks import PatchEmbeddingBlock
from safetensors.torch import load_file, save_file
from timm.models.vision_transformer import VisionTransformer
from tiny import TinyTask, fit, stop_after
from torch import nn

from scanweave.engine import weight_sources
from scanweave.engine.loop import train
from scanweave.engine.run import Run
from scanweave.engine.settings import Settings, StartSettings, TrainingSettings
from scanweave.engine.start_weights import begin_from, load_start_weights
from scanweave.engine.weight_shapes import with_channels, with_positions
from scanweave.errors import ScanweaveError


class Coded(nn.Module):
    """An encoder and a head."""

    def __init__(self, channels: int = 1, classes: int = 2, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1)
        )
        self.head = nn.Linear(8, classes)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    def save(network: nn.Module, prefix: str = "") -> Path:
        path = tmp_path / "start.safetensors"
        save_file({prefix + name: value.contiguous() for name, value in network.state_dict().items()}, path)
        return path

    return save


def test_what_fits_is_taken_and_the_rest_is_told(saved: Callable[..., Path]) -> None:
    path, network = saved(Coded(seed=1)), Coded(classes=3)
    before = network.head.weight.clone()
    audit = load_start_weights(network, path)
    assert torch.equal(network.encoder[3].weight, Coded(seed=1).encoder[3].weight)
    assert torch.equal(network.head.weight, before)
    assert audit.other_shape == {"head.weight": "2×8 → 3×8", "head.bias": "2 → 3"}
    assert (audit.absent, audit.unused, audit.adapted) == ([], [], {})
    assert audit.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert audit.matched_parameters == audit.parameters - 27
    assert "2 of another shape (head.weight 2×8 → 3×8, head.bias 2 → 3)" in audit.line
    assert "\n" not in audit.line


def test_too_little_is_refused_and_changes_nothing_unless_it_is_allowed(saved: Callable[..., Path]) -> None:
    path, network = saved(Coded(seed=1).encoder[0], "encoder.0."), Coded()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ScanweaveError, match=r"fits only 11\.5 % .*absent \(encoder\.1\.weight, .* allow a partial"):
        load_start_weights(network, path)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    load_start_weights(network, path, allow_partial=True)
    assert torch.equal(network.encoder[0].weight, Coded(seed=1).encoder[0].weight)


def test_parts_and_prefixes_are_mapped(saved: Callable[..., Path]) -> None:
    path, network = saved(Coded(seed=1), "student.backbone."), Coded(classes=5)
    rename = {"student.backbone.encoder.": "encoder.", "student.": "other."}
    audit = load_start_weights(network, path, parts=["encoder"], rename=rename)
    assert audit.fraction == 1
    assert audit.unused == ["other.backbone.head.bias", "other.backbone.head.weight"]
    assert torch.equal(network.encoder[0].weight, Coded(seed=1).encoder[0].weight)
    with pytest.raises(ScanweaveError, match=r"fits only 0\.0 %"):
        load_start_weights(network, path, parts=["encoder"])
    with pytest.raises(ValueError, match="no part 'decoder'"):
        load_start_weights(network, path, parts=["decoder"])


@pytest.mark.parametrize(("old", "new"), [(1, 4), (3, 1), (3, 2)])
def test_a_stem_answers_to_equal_channels_as_before(saved: Callable[..., Path], old: int, new: int) -> None:
    first, network = Coded(old, seed=1), Coded(new)
    audit = load_start_weights(network, saved(first))
    assert audit.adapted == {"encoder.0.weight": f"8×{old}×3×3 → 8×{new}×3×3"}
    image = torch.randn(2, 1, 6, 6)
    torch.testing.assert_close(
        network.encoder[0](image.expand(-1, new, -1, -1)), first.encoder[0](image.expand(-1, old, -1, -1))
    )


def test_only_the_stem_is_made_to_fit(saved: Callable[..., Path]) -> None:
    first = Coded(seed=1)
    first.encoder[3] = nn.Conv2d(4, 8, 3)
    audit = load_start_weights(Coded(), saved(first), allow_partial=True)
    assert audit.other_shape == {"encoder.3.weight": "8×4×3×3 → 8×8×3×3"}


def ramp(*size: int) -> torch.Tensor:
    """One channel an axis: the place of each token along it, in [-1, 1]."""
    axes = torch.meshgrid(*(((torch.arange(n) + 0.5) / n * 2 - 1) for n in size), indexing="ij")
    return torch.stack([axis.reshape(-1) for axis in axes], dim=-1)[None]


@pytest.mark.parametrize(
    ("old", "new", "grids"),
    [((4, 4, 4), (8, 8, 8), False), ((8, 8), (12, 12), False), ((4, 6), (8, 9), True), ((2, 4, 4), (4, 8, 8), True)],
)
def test_positions_keep_their_places(old: tuple[int, ...], new: tuple[int, ...], grids: bool) -> None:
    token = torch.full((1, 1, len(old)), 7.0)
    values, wanted = torch.cat([token, ramp(*old)], 1), torch.cat([token, ramp(*new)], 1)
    made = with_positions(values, wanted.shape, len(old), (old, new) if grids else None)
    assert made is not None
    inside = (wanted.abs() < 0.6).all(-1)  # interpolation clamps at the rim
    assert inside.sum() > 5
    torch.testing.assert_close(made[inside], wanted[inside], rtol=0, atol=0.06)
    assert torch.equal(made[:, :1], token)


def test_positions_that_tell_no_grid_stay_out() -> None:
    assert with_positions(torch.ones(1, 24, 4), torch.Size([1, 36, 4]), 2, None) is None
    assert with_positions(torch.ones(1, 16, 4), torch.Size([1, 36, 5]), 2, None) is None
    assert with_positions(torch.ones(1, 16, 4), torch.Size([1, 36, 4]), 0, None) is None
    assert with_positions(torch.ones(1, 16, 4), torch.Size([1, 36, 4]), 2, ((4, 4), (5, 5))) is None


def test_transformers_of_timm_and_monai_take_other_sizes(saved: Callable[..., Path]) -> None:
    sizes: dict[str, Any] = {"patch_size": 8, "embed_dim": 12, "depth": 1, "num_heads": 2, "num_classes": 0}
    path = saved(VisionTransformer(img_size=32, in_chans=3, **sizes))
    audit = load_start_weights(VisionTransformer(img_size=48, in_chans=1, **sizes), path)
    assert audit.adapted.keys() == {"pos_embed", "patch_embed.proj.weight"}
    assert audit.fraction == 1
    block = {"in_channels": 1, "patch_size": 8, "hidden_size": 12, "num_heads": 2, "proj_type": "conv"}
    path = saved(PatchEmbeddingBlock(img_size=32, **block))
    audit = load_start_weights(PatchEmbeddingBlock(img_size=(48, 48, 48), **block), path)
    assert audit.adapted == {"position_embeddings": "1×64×12 → 1×216×12"}


def test_channels_are_shared_out_evenly() -> None:
    kernel = torch.arange(6.0).reshape(1, 3, 2)
    assert with_channels(kernel, 2).tolist() == [[[3.0, 4.5], [3.0, 4.5]]]


def test_a_run_and_its_file_are_the_same_start(tmp_path: Path) -> None:
    run = fit(tmp_path / "run")
    audits = [load_start_weights(TinyTask(3).network, source) for source in (run.folder, str(run.weights))]
    assert audits[0].sha256 == audits[1].sha256
    assert audits[0].fraction == 1


def test_sources_that_are_none_are_one_line(tmp_path: Path) -> None:
    network = TinyTask().network
    (tmp_path / "weights.pt").write_bytes(b"pickle")
    (tmp_path / "bad.safetensors").write_bytes(b"x" * 40)
    (tmp_path / "pretrained").mkdir()
    (tmp_path / "pretrained" / "config.json").touch()
    save_file({"0.weight": torch.tensor([float("nan")])}, tmp_path / "nan.safetensors")
    for source, words in (
        (tmp_path / "nothing", "is not there to start from. Name a run folder"),
        (tmp_path / "pretrainde", f"is not there to start from. Did you mean {tmp_path / 'pretrained'}?"),
        (tmp_path, "is not a run folder"),
        (tmp_path / "weights.pt", "may run code when they are opened"),
        (tmp_path / "bad.safetensors", "cannot be read"),
        (tmp_path / "nan.safetensors", "0.weight holds NaN"),
        ("builtin:mars", "builtin:mars: there are no such weights"),
    ):
        with pytest.raises(ScanweaveError) as error:
            load_start_weights(network, source)
        assert words in str(error.value)
        assert "\n" not in str(error.value)
    with pytest.raises(SystemExit):
        fit(tmp_path / "stopped", stop_after(5))
    with pytest.raises(ScanweaveError, match="is not finished: step 5 of 12"):
        load_start_weights(network, tmp_path / "stopped")


@pytest.fixture
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that offers the weights "tiny" by an entry point."""
    path = tmp_path / "package" / "tiny.safetensors"
    path.parent.mkdir()
    (path.parent / "offered_weights.py").write_text(f"def tiny():\n    return {str(path)!r}\n")
    monkeypatch.syspath_prepend(str(path.parent))
    points = EntryPoints([EntryPoint("tiny", "offered_weights:tiny", weight_sources.ENTRY_POINTS)])
    monkeypatch.setattr(weight_sources, "entry_points", points.select)
    return path


def test_builtin_weights_are_found_by_name(offered: Path) -> None:
    save_file(TinyTask(4).network.state_dict(), offered)
    network = TinyTask().network
    assert load_start_weights(network, "builtin:tiny").source == "builtin:tiny"
    assert torch.equal(network[0].weight, TinyTask(4).network[0].weight)
    with pytest.raises(ScanweaveError, match=r"builtin:mars: there are no such weights\. Choose from .*tiny"):
        load_start_weights(network, "builtin:mars")
    offered.unlink()
    with pytest.raises(ScanweaveError, match="Install again what holds offered_weights"):
        load_start_weights(network, "builtin:tiny")


def test_a_run_records_its_start_and_goes_on_without_it(tmp_path: Path) -> None:
    source = fit(tmp_path / "source").weights
    said: list[str] = []

    def begun(folder: Path, task: TinyTask) -> Run:
        config = {"training": Run.open(tmp_path / "source").config["training"], "from": str(source)}
        with Run.start(folder, "tiny", config) as run:
            begin_from(run, task.network, StartSettings(source=str(source), part=""), said.append)
        return fit_in(folder, task, config)

    whole = begun(tmp_path / "whole", TinyTask())
    about = whole.record["start_weights"]
    assert about["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert (about["source"], about["fraction"]) == (str(source), 1.0)
    assert said[0].startswith("start weights: 100.0 % (")
    with pytest.raises(SystemExit):
        begun(tmp_path / "parts", stop_after(5))
    source.unlink()
    parts = begun(tmp_path / "parts", TinyTask())
    assert len(said) == 2
    assert parts.record["start_weights"] == about
    assert whole.weights.read_bytes() == parts.weights.read_bytes()
    unlike = load_file(fit(tmp_path / "plain").weights)
    assert not torch.equal(load_file(whole.weights)["0.weight"], unlike["0.weight"])


def test_a_part_that_the_network_has_not_is_refused_with_those_that_it_has(tmp_path: Path) -> None:
    with Run.start(tmp_path / "run", "tiny", {}) as run, pytest.raises(ScanweaveError, match=r"start\.part: .*'tail'"):
        begin_from(run, TinyTask().network, StartSettings(source="x", part="tail"), str)


class Begun(Settings):
    """Settings of a system that begins from other weights."""

    training: TrainingSettings
    start: StartSettings = StartSettings(part="")


def test_a_run_that_was_begun_before_start_weights_were_settings_goes_on(tmp_path: Path) -> None:
    settings = Begun(training=TrainingSettings(steps=10))
    Run.start(tmp_path, "tiny", settings.model_dump(mode="json", exclude={"start"})).close()
    Run.start(tmp_path, "tiny", settings.model_dump(mode="json"), kind=Begun).close()
    other = settings.model_copy(update={"start": StartSettings(source="other", part="")})
    with pytest.raises(ScanweaveError, match=r"another configuration: start\.source"):
        Run.start(tmp_path, "tiny", other.model_dump(mode="json"), kind=Begun)


def fit_in(folder: Path, task: TinyTask, config: dict[str, Any]) -> Run:
    with Run.start(folder, "tiny", config) as run:
        train(task, TrainingSettings(**config["training"]), run)
    return Run.open(folder)
