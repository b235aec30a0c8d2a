"""Error against the size of a perturbation: every method under its own attack, the others' attacks, and noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import pandas as pd
import torch
from torch import Generator, Tensor

from scanweave.measures.batches import norms, psnr, relative_error
from scanweave.measures.stability.attack import (
    Attack,
    AttackSettings,
    Target,
    in_batches,
    radii_of,
    random_perturbation,
)
from scanweave.measures.stability.audit_setup import Setup

Domain = Literal["measurement", "image"]
OWN, NOISE = "own", "noise"
Progress = Callable[[int, int], None]


def stability_curve(
    setup: Setup,
    shares: Sequence[float],
    settings: AttackSettings | Mapping[str, AttackSettings],
    *,
    domain: Domain = "measurement",
    batch: int = 8,
    progress: Progress = lambda done, total: None,
) -> tuple[pd.DataFrame, dict[tuple[str, float], Attack]]:
    """Perturb the measurement, or the image before it is measured, at several sizes.

    Args:
        setup: Methods and images.
        shares: Radii η, as shares of the norm of the measurement or image.
        settings: How hard the attacks try, for all methods or each; "restarts" and "iterations" cost time.
        domain: Where perturbations live.
        batch: Images that are attacked at once.
        progress: Called with the number of attacks done and of all, after each.

    Returns:
        One row an image, method, size and perturbation (`own`, the name of another attacked method, or `noise`):
        `change` ‖f(p+e) − f(p)‖, `amplification` (‖f(p+e) − f(p)‖ / ‖x‖) / η, `error` ‖f(p+e) − x‖ / ‖x‖, `psnr`;
        with η = 0 and perturbation `none` for the unperturbed measurement. And the attacks by method and size.
    """
    rows: list[pd.DataFrame] = [_rows(setup, name, 0.0, "none", None, domain) for name in setup.methods]
    attacks: dict[tuple[str, float], Attack] = {}
    todo = [(share, name) for share in shares for name in setup.methods]
    for done, (share, name) in enumerate(todo, start=1):
        target = target_of(setup, name, domain)
        chosen = settings if isinstance(settings, AttackSettings) else settings[name]
        attacks[name, share] = in_batches(target, radii_of(share, target.domain), chosen, batch)
        progress(done, len(todo))
    for share in shares:
        like = target_of(setup, next(iter(setup.methods)), domain).domain
        noise = random_perturbation(like, radii_of(share, like), Generator().manual_seed(round(1e6 * share)))
        for name in setup.methods:
            for other in setup.methods:
                kind = OWN if other == name else other
                rows.append(_rows(setup, name, share, kind, attacks[other, share].perturbation, domain))
            rows.append(_rows(setup, name, share, NOISE, noise, domain))
    return pd.concat(rows, ignore_index=True), attacks


def target_of(setup: Setup, name: str, domain: Domain) -> Target:
    """Return the target of an attack on a method."""
    if domain == "image":
        return Target(setup.methods[name], setup.measurement, setup.truth, setup.forward)
    return Target(setup.methods[name], setup.measurement)


def strongest(table: pd.DataFrame) -> pd.DataFrame:
    """Return, for every image, method and size, the perturbation that changes the image most, whosever it is."""
    attacked = table[~table["kind"].isin(["none", NOISE])]
    places = attacked.groupby(["method", "share", "image"], sort=False)["change"].idxmax()
    return table.loc[places].reset_index(drop=True)


def _rows(
    setup: Setup, name: str, share: float, kind: str, perturbation: Tensor | None, domain: Domain, batch: int = 8
) -> pd.DataFrame:
    made, change = [], []
    for start in range(0, len(setup.truth), batch):
        target = target_of(setup.part(start, start + batch), name, domain)
        with torch.no_grad():
            reference = target.reconstruct(target.measurement)
            image = reference if perturbation is None else target.perturbed(perturbation[start : start + batch])
        made.append(image)
        change.append(norms(image - reference))
    image, size = torch.cat(made), norms(setup.truth)
    moved = torch.cat(change)
    columns: dict[str, Any] = {
        "change": moved,
        "amplification": moved / size / share if share else torch.full_like(moved, float("nan")),
        "error": relative_error(image, setup.truth),
        "psnr": psnr(image, setup.truth, setup.data_range),
    }
    plain = pd.DataFrame({key: values.double().cpu().numpy() for key, values in columns.items()})
    return plain.assign(method=name, share=share, kind=kind, image=range(len(plain)), patient=setup.patients)
