"""Whole images at another size."""

import torch

from scanweave.augment.resizing import resized


def test_volumes_shrink_as_films_do_along_each_axis():
    film = torch.rand(2, 24, 30, generator=torch.Generator().manual_seed(0))
    volume = film[:, None].expand(2, 9, 24, 30)
    assert torch.allclose(resized(volume, (4, 8, 10)), resized(film, (8, 10))[:, None].expand(2, 4, 8, 10), atol=1e-6)
    turned = resized(film[..., None].expand(2, 24, 30, 9).contiguous(), (8, 10, 4))
    assert torch.allclose(turned, resized(film, (8, 10))[..., None].expand(2, 8, 10, 4), atol=1e-6)


def test_fine_stripes_do_not_become_coarse_ones():
    stripes = (torch.arange(64) % 2).float().expand(1, 64, 64)
    assert (resized(stripes, (8, 8))[:, :, 1:-1] - 0.5).abs().max() < 0.1


def test_own_size_is_left_alone():
    volume = torch.rand(1, 4, 5, 6)
    assert resized(volume, (4, 5, 6)) is volume
