"""The network: kernels for each sample, a latent that forgets the number of frames, the short cut of a zero state."""

import pytest
import torch
from float_bounds import EQUAL_IN_FLOAT64, float32_bound
from torch.utils._python_dispatch import TorchDispatchMode

from scanweave.systems.seq2seq.config import NetworkSettings
from scanweave.systems.seq2seq.convlstm import ConvLSTM, ConvLSTMCell
from scanweave.systems.seq2seq.fusion_network import make_network
from scanweave.systems.seq2seq.hyperconv import HyperConv, Kernel
from scanweave.systems.seq2seq.network import Seq2SeqNetwork

SMALL = {"channels": (4, 6, 8), "blocks": 1, "lstm_layers": 2, "rank": 3, "kernel_size": 5, "code_length": 8}
DIMENSIONS = pytest.mark.parametrize("dimensions", [2, 3])


class CountConvolutions(TorchDispatchMode):
    """Counts the convolutions that are computed, forward ones alone."""

    def __init__(self):
        super().__init__()
        self.number = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        self.number += function is torch.ops.aten.convolution.default
        return function(*arguments, **(options or {}))


def network(dimensions=2, **settings):
    """A small network with no parameter at zero."""
    torch.manual_seed(0)
    slices = 3 if dimensions == 2 else 1
    made = Seq2SeqNetwork(NetworkSettings(dimensions=dimensions, slices=slices, **(SMALL | settings))).eval()
    for parameter in made.parameters():
        if parameter.std() == 0:
            torch.nn.init.normal_(parameter, std=0.1)
    return made


def images(dimensions=2, batch=2, frames=1):
    size = (16, 20) if dimensions == 2 else (8, 12, 16)
    return torch.rand(batch, frames, 3 if dimensions == 2 else 1, *size) * 2 - 1


@DIMENSIONS
def test_kernels_of_a_batch_equal_a_loop_over_its_samples(dimensions):
    layer = HyperConv(8, 4, 6, kernel_size=3, rank=3, dimensions=dimensions).double()
    torch.nn.init.normal_(layer.bias_bank)
    x, codes = torch.randn(3, 4, *[9] * dimensions).double(), torch.randn(3, 8).double()
    together = layer(x, layer.kernel(codes))
    one_by_one = torch.cat([layer(x[i : i + 1], layer.kernel(codes[i : i + 1])) for i in range(3)])
    assert together.shape == (*x.shape[:1], 6, *x.shape[2:])
    torch.testing.assert_close(together, one_by_one, atol=EQUAL_IN_FLOAT64, rtol=0)


def test_kernel_is_the_mixture_of_the_bank():
    layer = HyperConv(8, 4, 6, kernel_size=3, rank=3, dimensions=2).double()
    torch.nn.init.normal_(layer.bias_bank)
    code = torch.randn(2, 8).double()
    weight, bias = layer.kernel(code)
    torch.testing.assert_close(weight, torch.einsum("nr,oihwr->noihw", layer.mix(code), layer.bank))
    torch.testing.assert_close(bias, torch.einsum("nr,or->no", layer.bias_mix(code), layer.bias_bank))


def one_by_one(made, x, sources, targets, frames):
    """Every sample by itself."""
    each = zip(x.split(1), sources.split(1), targets.split(1), strict=True)
    return torch.cat([made(*sample, frames) for sample in each])


@DIMENSIONS
@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("told", [False, True])
def test_pairs_of_a_batch_equal_single_pairs(dimensions, frames, told):
    """In float64; in float32 both are as near to it as its rounding allows, and far from another pair."""
    made, x = network(dimensions, source_code=told), images(dimensions, frames=2)
    sources, targets = torch.tensor([(0, 2), (4, 5)]).T
    exact, bound = float32_bound(made, lambda net: net(x.to(net.code.weight), sources, targets, frames))
    singly, _ = float32_bound(made, lambda net: one_by_one(net, x.to(net.code.weight), sources, targets, frames))
    torch.testing.assert_close(exact, singly, atol=EQUAL_IN_FLOAT64, rtol=0)
    with torch.inference_mode():
        together, alone = made(x, sources, targets, frames), one_by_one(made, x, sources, targets, frames)
        other_target = made(x[:1], sources[:1], targets[1:], frames)
        other_source = made(x[:1], sources[1:], targets[:1], frames)
    for found in (together, alone):
        torch.testing.assert_close(found.double(), exact, atol=bound, rtol=0)
    assert (together[0] - other_target[0]).abs().max() > 10 * bound
    assert torch.equal(alone[:1], other_source) != told


@DIMENSIONS
def test_frames_in_and_out_are_free(dimensions):
    made = network(dimensions)
    with torch.inference_mode():
        latents = [made.encode(images(dimensions, frames=frames), []) for frames in (1, 2, 5)]
        assert len({latent.shape for latent in latents}) == 1
        for frames in (1, 4):
            series = made.decode(latents[1], made.target(torch.tensor([0])), frames)
            assert series.shape == (2, frames, *images(dimensions).shape[2:])
            assert series.abs().max() <= 1
    assert (series[:, 0] - series[:, 3]).abs().max() > 1e-4  # copies of one latent become a series that evolves


def test_frames_matter_and_their_order_does():
    made, x = network(), images(frames=3)
    with torch.inference_mode():
        forwards, backwards = made.encode(x, []), made.encode(x.flip(1), [])
    assert (forwards - backwards).abs().max() > 1e-4


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("told", [False, True])
def test_gradients_reach_every_parameter(frames, told):
    made = network(source_code=told)
    made(images(frames=frames), torch.tensor([0, 3]), torch.tensor([1, 2]), frames).square().mean().backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@DIMENSIONS
def test_first_frame_without_a_state_equals_a_state_of_zeros(dimensions):
    torch.manual_seed(0)
    cell, x = ConvLSTMCell(4, dimensions).double(), torch.randn(2, 4, *[6] * dimensions).double()
    torch.nn.init.normal_(cell.conv.bias)
    zeros = (torch.zeros_like(x), torch.zeros_like(x))
    for short, general in zip(cell(x, None), cell(x, zeros), strict=True):
        torch.testing.assert_close(short, general, atol=EQUAL_IN_FLOAT64, rtol=0)


def test_a_series_through_the_layers_equals_a_loop_from_zeros():
    torch.manual_seed(0)
    stack, x = ConvLSTM(4, 2, 2).double(), torch.randn(2, 3, 4, 6, 6).double()
    expected = x
    for cell in stack.cells:
        state, frames = (torch.zeros_like(x[:, 0]),) * 2, []
        for frame in expected.unbind(1):
            state = cell(frame, state)
            frames.append(state[0])
        expected = torch.stack(frames, 1)
    torch.testing.assert_close(stack(x), expected, atol=EQUAL_IN_FLOAT64, rtol=0)


def test_one_kernel_for_all_is_not_grouped():
    layer = HyperConv(8, 4, 6, kernel_size=3, rank=3, dimensions=2).double()
    kernel = layer.kernel(torch.randn(1, 8).double())
    repeated = Kernel(*(part.expand(2, *part.shape[1:]) for part in kernel))
    x = torch.randn(2, 4, 7, 7).double()
    torch.testing.assert_close(layer(x, kernel), layer(x, repeated), atol=EQUAL_IN_FLOAT64, rtol=0)


def test_shared_start_makes_kernels_of_all_codes_alike():
    def spread(shared_start):
        torch.manual_seed(0)
        made = Seq2SeqNetwork(NetworkSettings(**(SMALL | {"rank": 8, "shared_start": shared_start})))
        kernels = torch.stack([made.target(torch.tensor([k]))[0].weight[0] for k in range(4)])
        return (kernels - kernels.mean(0)).std() / kernels.std()

    assert spread(shared_start=True) < 0.5 < spread(shared_start=False)


def test_gate_bias_lets_a_first_frame_through():
    x = 0.1 * torch.randn(2, 1, 4, 8, 8)
    sizes = []
    for bias in (0.0, 2.0):
        torch.manual_seed(0)
        sizes.append(ConvLSTM(4, 2, 2, gate_bias=bias)(x).std())
    assert sizes[1] > 5 * sizes[0]


@DIMENSIONS
@pytest.mark.parametrize("fusion", ["mean", "latent"])
def test_features_computed_anew_change_nothing(dimensions, fusion):
    def gradients(lean):
        torch.manual_seed(0)
        settings = NetworkSettings(
            dimensions=dimensions, slices=3, fusion=fusion, source_code=fusion == "latent", recompute=lean, **SMALL
        )
        made = make_network(settings, 2).double()
        draw = torch.Generator().manual_seed(1)
        for parameter in made.parameters():
            parameter.data.add_(0.1 * torch.randn(parameter.shape, generator=draw, dtype=torch.float64))
        x = images(dimensions).double()
        with CountConvolutions() as counted:
            if fusion == "mean":
                result = made(x, torch.tensor([0]), torch.tensor([1]))
            else:
                given = {0: made.ready(0, x, made.source(torch.tensor([0])))}
                result = made.correct(given, 1, made.target_parts(1), -1.0)[0]
            result.square().sum().backward()
        return counted.number, [own.grad for own in made.parameters() if own.grad is not None]

    (kept, plain), (anew, lean) = gradients(lean=False), gradients(lean=True)
    assert anew > kept
    assert len(plain) == len(lean)
    for one, other in zip(plain, lean, strict=True):
        torch.testing.assert_close(other, one, atol=EQUAL_IN_FLOAT64, rtol=EQUAL_IN_FLOAT64)


def test_small_outputs_are_as_exact_as_large_ones():
    made = network()
    made.decoder.last.bank.data.mul_(1e-4)
    made.decoder.last.bias_bank.data.zero_()
    x, number = images(), torch.tensor([0])
    with torch.no_grad():
        single, exact = made(x, number, number), made.double()(x.double(), number, number)
    assert exact.abs().max() < 1e-2
    assert (single - exact).abs().max() <= 1e-4 * exact.abs().max()
