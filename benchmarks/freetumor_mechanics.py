"""Tumours put into scans: that they are what was asked for, and what one costs.

Requests are drawn over shapes, diameters, edges and organs, in simulated livers of three spacings and, where the real
scans are there, in the liver, kidneys and spleen of an abdomen CT. Every bar is that of the specification (e.5) and of
the issue: no voxel outside changes, masks lie in the organ, diameters are within 15 % where the tumour fits, one seed
gives the same bits. Time is that of one tumour of 20 mm in a CT of 512 × 512 × 300 voxels, by rules and by a generator,
beside one pass of the same generator over all voxels, as the released code makes; and of a folder on both cores.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import ROOT, Claim, benchmark_arguments, silent, write_results
from numpy.typing import NDArray

import scanweave as sw
from scanweave.measures.proportions import proportion
from scanweave.simulate.tumours import TumoursSettings, simulate_tumour_scan
from scanweave.studies.columns import KINDS
from scanweave.tumours.appearance import Rules
from scanweave.tumours.insertion import insert_tumour
from scanweave.tumours.placement import organ_depth
from scanweave.tumours.request import TumourRequest

TIERS: dict[str, dict[str, Any]] = {
    "smoke": {"requests": 4, "spacings": (6.0,), "large": (64, 64, 40), "folder": 2, "repeats": 1},
    "proof": {"requests": 400, "spacings": (3.0, 2.0, 1.5), "large": (512, 512, 300), "folder": 50, "repeats": 5},
}
WITHIN, PATCH = 0.15, 96
REAL = {"liver": 5, "right kidney": 2, "spleen": 1}
"""Numbers of organs in the label map of `ct_organs`, as TotalSegmentator has them."""
Place = tuple[str, sw.Scan, NDArray[np.bool_]]


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS))
    tier = TIERS[arguments.tier]
    write_results("freetumor_mechanics", arguments, (0,), [*mechanics(tier), *times(tier)])


def places(tier: dict[str, Any]) -> Iterator[Place]:
    """Yield scans with an organ each."""
    for number, spacing in enumerate(tier["spacings"]):
        made = simulate_tumour_scan(7, number, TumoursSettings(spacing=spacing, tumours=0.0, cysts=0))
        yield f"{spacing:g} mm", sw.Scan.of(made["scans"]["ct"], made["affine"]), made["masks"]["organs"] == 1
    root = Path(os.environ.get("SCANWEAVE_DATA", ROOT.parent / "shared" / "data")) / "ct_organs"
    scan, labels = root / "example_ct.nii.gz", root / "example_ct_seg117.nii.gz"
    if scan.is_file() and labels.is_file():
        image, organs = KINDS["scan"].read(scan), np.asarray(KINDS["mask"].read(labels).data)
        for name, number in REAL.items():
            yield f"real {name}", image, organs == number


def mechanics(tier: dict[str, Any]) -> Iterator[Claim]:
    """Yield what holds of all requests."""
    outside, beyond, right, fitting, same = 0, 0, 0, 0, 0
    known = list(places(tier))
    rng = np.random.default_rng(0)
    for seed in range(tier["requests"]):
        _, scan, organ = known[seed % len(known)]
        spacing = scan.geometry.spacing
        widest = 2 * organ_depth(organ, spacing).most
        request: dict[str, Any] = {
            "diameter_mm": float(rng.uniform(5, 1.3 * widest)),
            "shape": ("ellipsoid", "grown")[seed % 2],
            "necrosis": seed % 3 == 0,
            "capsule": seed % 5 == 0,
            "avoid_vessels": seed % 7 == 0,
        }
        made, again = (sw.synthesize(scan, organ, seed=seed, **request) for _ in range(2))
        data, mask = np.asarray(made.scan.data), np.asarray(made.mask.data) > 0
        outside = max(outside, beyond_border(scan, organ, seed, request))
        beyond += int((mask & ~organ).sum())
        same += int(np.array_equal(data, again.scan.data) and made.tumours == again.tumours)
        if request["diameter_mm"] <= widest and not request["avoid_vessels"]:
            fitting += 1
            right += abs(made.tumours[0]["diameter_mm"] / request["diameter_mm"] - 1) <= WITHIN
    count = tier["requests"]
    share = proportion(right, fitting)
    nothing = float("nan")
    yield Claim("largest change outside of the soft border", outside, nothing, nothing, "HU", count, 0.0, "lower")
    yield Claim("voxels of masks outside of the organ", beyond, nothing, nothing, "", count, 0.0, "lower")
    yield Claim("diameters within 15 % where they fit", share.value, share.low, share.high, "", fitting, 0.95, "higher")
    yield Claim("requests that give the same bits again", same / count, nothing, nothing, "", count, 1.0, "higher")


def beyond_border(scan: sw.Scan, organ: NDArray[np.bool_], seed: int, request: dict[str, Any]) -> int:
    """Return the largest change of a voxel in which the tumour has no share, within the organ or without [HU]."""
    image = np.asarray(scan.data)
    seeds = [seed, 1, 0]  # as `put_tumours` numbers the first try of the first tumour
    made = insert_tumour(image, organ, scan.geometry.spacing, TumourRequest(**request), Rules(), seeds)
    whole = image.copy()
    made.into(whole)
    share = np.zeros(image.shape, np.float32)
    share[made.box] = made.tumour.soft
    return int(np.abs(whole.astype(np.int64) - image)[share == 0].max(initial=0))


def times(tier: dict[str, Any]) -> Iterator[Claim]:
    """Yield the time of one tumour in a large CT, and what a folder gains by two processes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = small_run(folder)
        scan, organ = large_scan(tier["large"])
        centre = tuple(int(one) for one in np.argwhere(organ)[organ.sum() // 2])
        asked: dict[str, Any] = {"diameter_mm": 20.0, "centre": centre, "seed": 0}
        by_rules = least_time(lambda: sw.synthesize(scan, organ, **asked), tier["repeats"])
        by_run = least_time(lambda: sw.synthesize(scan, organ, run=run, **asked), tier["repeats"])
        whole = least_time(lambda: whole_volume(run, scan), 1)
        nothing = float("nan")
        yield Claim("one tumour of 20 mm by rules", by_rules, nothing, nothing, "s", 1, 1.0, "lower")
        yield Claim("the same by a generator, judged", by_run, nothing, nothing, "s", 1, 1.0, "lower")
        name = "a pass of the generator over all voxels, against one tumour"
        yield Claim(name, whole / by_run, nothing, nothing, "times", 1, 10.0, "higher", {"pass [s]": whole})
        cohort = sw.simulate_tumours(folder / "c", subjects=tier["folder"], seed=3, spacing=2.0, tumours=0.0)
        spent = []
        for workers in (1, 2):
            begun = time.monotonic()
            sw.synthesize_cohort(
                cohort, folder / f"by {workers}", organ_mask="organs", rules=True, count=3, workers=workers, say=silent
            )
            spent.append(time.monotonic() - begun)
        gain = spent[0] / spent[1]
        shown = {"one [s]": spent[0], "two [s]": spent[1]}
        yield Claim(
            "a folder on two processes against one", gain, nothing, nothing, "times", len(cohort), 1.8, "higher", shown
        )


def small_run(folder: Path) -> Any:
    """Return a run of untrained networks, whose judge accepts all: time does not depend on what they learnt."""
    cohort = sw.simulate_tumours(folder / "learnt", subjects=4, seed=5, spacing=5.0, tumours=0.8, unlabelled=1.0)
    once = {"steps": 1, "validate_every": 1, "warm_up": 0, "log_every": 1}
    config = {
        "training": {**once, "device": "cpu", "workers": 0},
        "judge": once,
        "generator": {"training": {"steps": 1, "batch_size": 1, "log_every": 1}},
        "synthesis.accepted": [0.0, 1.0],
        "preparation.spacing": [1.0, 1.0, 1.0],
        "network.patch": [40, 40, 40],
    }
    return sw.fit("freetumor", cohort, folder / "run", preset="small", config=config, say=silent)


def large_scan(shape: tuple[int, int, int]) -> tuple[sw.Scan, NDArray[np.bool_]]:
    """Return a scan of 0.8 × 0.8 × 1 mm with a ball of an organ in air."""
    grid = np.ogrid[tuple(slice(0, size) for size in shape)]
    away = sum(((axis - size / 2) / (size / 3)) ** 2 for axis, size in zip(grid, shape, strict=True))
    organ = np.asarray(away < 1)
    noise = np.random.default_rng(0).integers(-12, 13, shape, dtype=np.int16)
    return sw.Scan.of(np.where(organ, 100, -900).astype(np.int16) + noise, np.diag([0.8, 0.8, 1.0, 1.0])), organ


def whole_volume(run: Any, scan: sw.Scan) -> None:
    """Pass as many voxels as the scan has through the generator, patch by patch, without any overlap."""
    patch = torch.zeros(1, 1, *(min(PATCH, size) for size in scan.geometry.shape))
    number = -(-int(np.prod(scan.geometry.shape)) // patch.numel())
    told = patch.new_zeros(1)
    with torch.inference_mode():
        for _ in range(number):
            run.generator(patch, patch, told, told)


def least_time(work: Any, repeats: int) -> float:
    """Return the least of several times [s]."""
    spent = []
    for _ in range(repeats):
        begun = time.monotonic()
        work()
        spent.append(time.monotonic() - begun)
    return min(spent)


if __name__ == "__main__":
    main()
