"""Checks that an attack can be believed: a weak one makes every method look stable.

| check | what it finds |
|---|---|
| gradients | the derivative of ‖f(p + e) − f(p)‖² against finite differences: masked or detached gradients |
| iterations | more iterations find more: the change at a half and at all of them, and how much the second half adds |
| radius | a larger ball holds a stronger perturbation |
| transfer | no other method's perturbation is stronger than the method's own |
| restarts | how far the restarts differ |
| noise | the attack beats noise of equal norm |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd
import torch
from torch import Generator

from scanweave.measures.batches import norms
from scanweave.measures.stability.attack import Attack, Target, random_perturbation
from scanweave.measures.stability.curve import NOISE, OWN

GRADIENT_TOLERANCE = 0.05
"""Relative difference of derivative and finite difference that float32 and kinks of rectifiers explain."""
TRANSFER_TOLERANCE = 0.02
"""Lead of a perturbation made for another method from which the own attack counts as too weak."""
PLATEAU = 0.1
"""Gain in the second half of the iterations from which more of them are asked for."""


@dataclass(frozen=True)
class Check:
    """One check of one method.

    Attributes:
        method: Whose attack.
        check: Which.
        value: What was measured.
        bound: What it is held against.
        passed: Whether it holds.
        says: Both in words.
    """

    method: str
    check: str
    value: float
    bound: float
    passed: bool
    says: str


def check_gradients(target: Target, method: str, share: float, *, directions: int = 4, seed: int = 0) -> Check:
    """Compare the derivative of ‖f(p + e) − f(p)‖² with central differences, at and along random perturbations.

    Args:
        target: What is attacked; a few images are enough.
        method: Its name.
        share: Size of the perturbation, as a share of the norm of what it perturbs.
        directions: Directions that are tried.
        seed: Of the directions.
    """
    generator, size = Generator().manual_seed(seed), share * norms(target.domain)
    with torch.no_grad():
        reference = target.reconstruct(target.measurement)
    place = random_perturbation(target.domain, size, generator).requires_grad_()
    square = (target.perturbed(place) - reference).square().flatten(1).sum(dim=1)
    (gradient,) = torch.autograd.grad(square.sum(), place)
    worst, step = 0.0, 1e-3 if gradient.dtype == torch.float64 else 3e-2
    for _ in range(directions):
        # Half of a direction lies along the gradient: a random one alone is nearly orthogonal to it.
        way = random_perturbation(target.domain, size, generator)
        way = way + gradient * (size / norms(gradient)).reshape(-1, *[1] * (gradient.ndim - 1))
        along = (gradient * way).flatten(1).sum(dim=1)
        with torch.no_grad():
            ahead, behind = (
                (target.perturbed(place + sign * step * way) - reference).double().square().flatten(1).sum(dim=1)
                for sign in (1, -1)
            )
        measured = (ahead - behind) / (2 * step)
        worst = max(worst, float(((measured - along.double()).abs() / along.double().abs()).max()))
    says = f"derivative and finite difference differ by {worst:.2%} at most"
    return Check(method, "gradients", worst, GRADIENT_TOLERANCE, worst <= GRADIENT_TOLERANCE, says)


def check_attacks(table: pd.DataFrame, attacks: Mapping[tuple[str, float], Attack]) -> list[Check]:
    """Check the attacks of `stability_curve`: iterations, radius, transfer, restarts and noise.

    Args:
        table: Its table.
        attacks: Its attacks.
    """
    methods = list(dict.fromkeys(name for name, _ in attacks))
    checks: list[Check] = []
    for name in methods:
        shares = sorted(share for method, share in attacks if method == name)
        mine = table[table["method"] == name]
        largest = attacks[name, shares[-1]]
        checks += [_iterations(name, largest), *_radius(name, mine, shares), _transfer(name, mine, shares)]
        checks += [_restarts(name, largest), _noise(name, mine, shares)]
    return checks


def _iterations(name: str, found: Attack) -> Check:
    best = found.history.amax(dim=0)  # (iterations + 1, B)
    half = best[: max(1, len(best) // 2)].amax(dim=0)
    gain = float(((best.amax(dim=0) - half) / half.clamp_min(1e-30)).mean())
    says = f"the second half of the iterations adds {gain:.1%}"
    return Check(name, "iterations", gain, PLATEAU, gain <= PLATEAU, says)


def _radius(name: str, table: pd.DataFrame, shares: Sequence[float]) -> list[Check]:
    if len(shares) < 2:
        return []
    means = [float(table[(table["share"] == share) & (table["kind"] == OWN)]["change"].mean()) for share in shares]
    smallest = min(after / before for before, after in pairwise(means))
    says = f"from size to size the change grows by a factor of {smallest:.2f} at least"
    return [Check(name, "radius", smallest, 1.0, smallest >= 1.0, says)]


def _transfer(name: str, table: pd.DataFrame, shares: Sequence[float]) -> Check:
    worst, whose = 0.0, "no other"
    for share in shares:
        means = table[table["share"] == share].groupby("kind")["change"].mean()
        others = means.drop(labels=[OWN, NOISE, "none"], errors="ignore")
        if len(others) and others.max() / means[OWN] > worst:
            worst, whose = float(others.max() / means[OWN]), str(others.idxmax())
    bound = 1 + TRANSFER_TOLERANCE
    says = f"perturbations of {whose} reach {worst:.2f} of its own" if worst else "there is no other method"
    return Check(name, "transfer", worst, bound, worst <= bound, says)


def _restarts(name: str, found: Attack) -> Check:
    spread = float(found.spread.mean())
    says = f"{found.history.shape[0]} restarts differ by {spread:.1%}"
    return Check(name, "restarts", spread, PLATEAU, spread <= PLATEAU and found.history.shape[0] > 1, says)


def _noise(name: str, table: pd.DataFrame, shares: Sequence[float]) -> Check:
    ratios = []
    for share in shares:
        means = table[table["share"] == share].groupby("kind")["change"].mean()
        ratios.append(float(means[OWN] / means[NOISE]))
    says = f"the attack changes the image {min(ratios):.1f} times as much as noise of equal norm, or more"
    return Check(name, "noise", min(ratios), 1.0, min(ratios) >= 1.0, says)
