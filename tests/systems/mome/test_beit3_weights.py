"""Weights of BEiT-3: its branch of images as our layers, or a refusal in one line with nothing run."""

import os

import pytest
import torch
from tiny_network import answers, make_network, make_plan, make_study
from torch.nn import functional as F

from scanweave import api
from scanweave.engine.start_weights import load_start_weights
from scanweave.errors import ScanweaveError
from scanweave.systems.mome.config import PAPER
from scanweave.systems.mome.experts import Layer
from scanweave.systems.mome.network import trained_parts
from scanweave.systems.mome.reference_weights import import_weights, renamed

WIDTH, HEADS, HIDDEN, LAYERS = 16, 2, 64, 4
ROOM = "beit3.encoder.layers"


def published():
    """A state_dict as BEiT-3 has it: two branches in each layer, and what else the network is made of."""
    draw = torch.Generator().manual_seed(0)
    square, line = (WIDTH, WIDTH), (WIDTH,)
    shapes = {f"self_attn.{one}_proj.{{}}": square for one in "qkv"}
    shapes |= {"self_attn.out_proj.{}": square, "ffn.{}.fc1": (HIDDEN, WIDTH), "ffn.{}.fc2": (WIDTH, HIDDEN)}
    shapes |= {f"{one}.{{}}": line for one in ("self_attn.inner_attn_ln", "self_attn_layer_norm", "final_layer_norm")}
    shapes |= {"ffn.{}.ffn_layernorm": (HIDDEN,)}
    state = {
        f"{ROOM}.{number}.{name.format(branch)}.{leaf}": torch.randn(
            shape if leaf == "weight" else shape[:1], generator=draw
        )
        for number in range(LAYERS)
        for name, shape in shapes.items()
        for branch in "AB"
        for leaf in ("weight", "bias")
    }
    others = {"beit3.text_embed.weight": (9, WIDTH), "beit3.encoder.layer_norm.A.weight": line, "mlm_head.bias": (9,)}
    return state | {name: torch.randn(shape, generator=draw) for name, shape in others.items()}


def their_layer(state, number, branch, x):
    """Pre-norm and sub-LN of Wang et al. (Foundation transformers, ICML 2023), written out."""

    def norm(name, x):
        own = f"{ROOM}.{number}.{name}"
        return F.layer_norm(x, x.shape[-1:], state[f"{own}.weight"], state[f"{own}.bias"], 1e-5)

    def linear(name, x):
        own = f"{ROOM}.{number}.{name}"
        return x @ state[f"{own}.weight"].T + state[f"{own}.bias"]

    normed = norm(f"self_attn_layer_norm.{branch}", x)
    query, key, value = (linear(f"self_attn.{one}_proj.{branch}", normed) for one in "qkv")
    seen = []
    for head in range(HEADS):
        part = slice(head * WIDTH // HEADS, (head + 1) * WIDTH // HEADS)
        scores = query[..., part] * (WIDTH // HEADS) ** -0.5 @ key[..., part].transpose(1, 2)
        seen.append(scores.softmax(-1) @ value[..., part])
    x = x + linear(f"self_attn.out_proj.{branch}", norm(f"self_attn.inner_attn_ln.{branch}", torch.cat(seen, -1)))
    inner = F.gelu(linear(f"ffn.{branch}.fc1", norm(f"final_layer_norm.{branch}", x)))
    return x + linear(f"ffn.{branch}.fc2", norm(f"ffn.{branch}.ffn_layernorm", inner))


class Nothing(torch.nn.Module):
    """An adapter that gives nothing."""

    def forward(self, x, there):
        return torch.zeros_like(x)


@pytest.fixture
def source(tmp_path):
    torch.save({"model": published()}, tmp_path / "beit3.pth")
    return tmp_path / "beit3.pth"


@pytest.mark.parametrize("number", [0, 3])
def test_a_converted_layer_computes_what_theirs_does(number):
    weights = renamed(published())
    assert len(weights) == LAYERS * 20
    layer = Layer(WIDTH, HEADS, HIDDEN, {"one": Nothing()}, 0.0)
    prefix = f"layers.{number}."
    layer.load_state_dict({n.removeprefix(prefix): w for n, w in weights.items() if n.startswith(prefix)})
    x = torch.randn(2, 5, WIDTH, generator=torch.Generator().manual_seed(1))
    made = layer(x, None, "one").detach()
    torch.testing.assert_close(made, their_layer(published(), number, "A", x), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(made, their_layer(published(), number, "B", x), rtol=0.1, atol=0.1)


def test_a_network_begins_from_them(source, tmp_path):
    file = api.import_weights("mome", source, tmp_path / "w.safetensors")
    plan = make_plan()
    network, study = make_network(plan, backbone="frozen"), make_study(0, plan)
    before = answers(network, [study])
    start = PAPER.start
    audit = load_start_weights(network, file, parts=[start.part], rename=start.rename, allow_partial=True)
    assert len(audit.matched) == LAYERS * 20
    assert audit.unused == []
    assert all(".adapters." in name for name in audit.absent)
    trained, every = trained_parts(network)["layers"]
    assert audit.matched_parameters == every
    assert trained == 0
    state = published()
    assert torch.equal(network.layers[2].feed.first.weight, state[f"{ROOM}.2.ffn.A.fc1.weight"])
    assert not torch.equal(answers(network, [study]), before)


def test_half_precision_becomes_single(tmp_path):
    state = {name: value.half() for name, value in published().items()}
    assert {value.dtype for value in renamed(state).values()} == {torch.float32}


def refused(state, tmp_path, words):
    torch.save(state, tmp_path / "other.pth")
    out = tmp_path / "o.safetensors"
    with pytest.raises(ScanweaveError, match=words) as told:
        import_weights(tmp_path / "other.pth", out)
    assert str(told.value).startswith(f"{tmp_path / 'other.pth'}: ")
    assert "\n" not in str(told.value)
    assert not out.exists()


def test_layers_that_do_not_fit_are_named():
    state, first = published(), f"{ROOM}.0.self_attn.q_proj.A.weight"
    bias = f"{ROOM}.2.ffn.A.fc1.bias"
    states = {
        (first, "this layer is absent"): {name.replace(".A.", "."): value for name, value in state.items()},
        (bias, "this layer is absent"): {name: value for name, value in state.items() if name != bias},
        (f"{ROOM}.0.moe.A.w", "not a layer of BEiT-3"): {**state, f"{ROOM}.0.moe.A.w": torch.zeros(2)},
        (first, "has the shape (16, 4), not (16, 16)"): {**state, first: torch.zeros(16, 4)},
        (first, "holds something else than finite numbers"): {**state, first: state[first] * torch.nan},
    }
    for (where, reason), other in states.items():
        with pytest.raises(ScanweaveError) as told:
            renamed(other)
        assert (told.value.where, told.value.reason[: len(reason)]) == (where, reason)
    far = {name.replace("layers.1.", "layers.9999999999."): value for name, value in state.items()}
    with pytest.raises(ScanweaveError, match=r"layers\.1\..*this layer is absent"):
        renamed(far)


def test_weights_of_other_networks_are_refused(tmp_path):
    refused({"conv1.weight": torch.zeros(3)}, tmp_path, "q_proj.A.weight: this layer is absent")


class Evil:
    """Pickled as a call of `os.system`."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_a_pickle_that_runs_a_command_does_not(tmp_path):
    witness = tmp_path / "witness"
    refused({"model": {**published(), "extra": Evil(f"touch {witness}")}}, tmp_path, "not a plain file of weights")
    assert not witness.exists()


def test_a_file_that_is_there_is_left_alone(source, tmp_path):
    (tmp_path / "w.safetensors").write_text("mine")
    with pytest.raises(ScanweaveError, match="exists already"):
        import_weights(source, tmp_path / "w.safetensors")
    assert (tmp_path / "w.safetensors").read_text() == "mine"
