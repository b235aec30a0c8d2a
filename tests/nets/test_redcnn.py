"""RED-CNN: begins at its input, keeps sizes, learns."""

import pytest
import torch

from scanweave.errors import ScanweaveError
from scanweave.nets.redcnn import RedCnn


def test_begins_at_its_input_and_takes_any_size():
    x = torch.randn(1, 2, 17, 23)
    assert torch.equal(RedCnn(2, width=4)(x), x)


def test_learns_a_correction():
    torch.manual_seed(0)
    network, x = RedCnn(1, width=8), torch.rand(2, 1, 16, 16)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(150):
        loss = ((network(x) - 0.5 * x) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.3 * ((x - 0.5 * x) ** 2).mean()


def test_refuses_no_channels():
    with pytest.raises(ScanweaveError, match="0 channels"):
        RedCnn(0)
