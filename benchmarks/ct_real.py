"""Reconstruction of real anatomy, a head and a thorax: 60 views, and a quarter of the dose.

Networks learn from simulated bodies only and never see the patients; slices of the CT volumes are measured on a finer
grid than they are reconstructed on. The scans themselves stand as truth, their noise included. One patient each: the
figures are of these two and have no interval, and there is no bar.

The thorax is that of `ct_organs` in the folder of real scans (`SCANWEAVE_DATA`), a block around the heart. The head is
`Cranium.inv3` of Debian's package invesalius-examples; `--head` names the file, without it the thorax is alone.
`--page` writes all pictures.
"""

from __future__ import annotations

import os
import plistlib
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from acid import fit
from acid_scans import ENERGY, FIELD, FINER, CtScan, make_pairs
from common import ROOT, Claim, benchmark_arguments, write_results
from jobs import run_jobs
from torch import Generator

from scanweave.physics.ct.geometry import ParallelGeometry, even_angles
from scanweave.report.blocks import Figure, Section
from scanweave.report.page import write_report
from scanweave.report.provenance import environment
from scanweave.report.runs import RECONSTRUCTED
from scanweave.simulate.ct.anatomy import axial_map
from scanweave.simulate.ct.plane import Plane
from scanweave.studies.formats.image_reader import read_scan
from scanweave.studies.scan import Scan
from scanweave.systems.acid.evaluation import compare
from scanweave.systems.acid.figures import comparison_sheet
from scanweave.systems.acid.measurement_pairs import Pairs

TIERS: dict[str, dict[str, Any]] = {
    "smoke": {
        "seeds": (0,),
        "size": 32,
        "slices": 2,
        "training": 6,
        "validation": 3,
        "steps": 4,
        "width": 4,
        "levels": 2,
        "rounds": 3,
        "tuning": {"steps": (0.3,), "thresholds": (0.01,), "tv_weights": (0.003,)},
    },
    "proof": {
        "seeds": (300, 301, 302),
        "size": 96,
        "slices": 6,
        "training": 400,
        "validation": 16,
        "steps": 1_200,
        "width": 16,
        "levels": 3,
        "rounds": 12,
    },
    "study": {
        "seeds": (300, 301, 302, 303, 304),
        "size": 192,
        "slices": 20,
        "training": 3_000,
        "validation": 32,
        "steps": 20_000,
        "width": 32,
        "levels": 4,
        "rounds": 30,
    },
}
PHOTONS = 2e4
"""Photons a ray of the full dose."""
PROTOCOLS = {"60 views": (60, PHOTONS), "quarter dose": (180, PHOTONS / 4)}
"""Views over half a turn, and photons a ray."""
SHOWN = 3
Found = dict[str, tuple[Any, dict[str, Any], Pairs]]


def main() -> None:
    own: dict[str, dict[str, Any]] = {
        "head": {"type": Path, "default": None, "help": "Cranium.inv3 of Debian's invesalius-examples"},
        "page": {"type": Path, "default": None, "help": "HTML file for the pictures"},
    }
    arguments = benchmark_arguments(__doc__ or "", tuple(TIERS), **own)
    tier = TIERS[arguments.tier]
    bodies = ["thorax"] if arguments.head is None else ["head", "thorax"]
    jobs = [(name, seed) for name in PROTOCOLS for seed in tier["seeds"]]
    claims: list[Claim] = []
    sections: list[Section] = []
    results = dict(zip(jobs, run_jobs(one_seed, jobs, arguments, tier, arguments.head), strict=True))
    for name in PROTOCOLS:
        found = [results[name, seed] for seed in tier["seeds"]]
        claims += [claim for body in bodies for claim in claims_of(f"{body}, {name}", [one[body] for one in found])]
        sections.append(Section(name.capitalize(), "", [sheet(body, name, *found[0][body][1:]) for body in bodies]))
    if arguments.page is not None:
        write_page(arguments.page, sections)
    write_results("ct_real", arguments, tier["seeds"], claims, "--head Cranium.inv3" if arguments.head else "")


def volumes(head: Path | None) -> dict[str, Scan]:
    """The CT volumes by name."""
    folder = Path(os.environ.get("SCANWEAVE_DATA", ROOT.parent / "shared" / "data"))
    found = {"thorax": read_scan(folder / "ct_organs" / "thorax_ct.nii.gz")}
    return found if head is None else {"head": read_inv3(head), **found}


def read_inv3(path: Path) -> Scan:
    """The volume of an InVesalius project: `matrix.dat`, slices from the feet, rows from the back; sides not told."""
    with tarfile.open(path) as project:
        files = {Path(member.name).name: project.extractfile(member) for member in project.getmembers()}
        about = plistlib.loads(files["main.plist"].read())  # type: ignore[union-attr]
        values = np.frombuffer(files["matrix.dat"].read(), about["matrix"]["dtype"])  # type: ignore[union-attr]
    return Scan.of(values.reshape(about["matrix"]["shape"]).T.copy(), np.diag([*about["spacing"], 1.0]))


def one_seed(name: str, seed: int, tier: dict[str, Any], head: Path | None) -> Found:
    """Fit to simulated bodies, and reconstruct the slices of every volume: table, images and truth by volume."""
    views, photons = PROTOCOLS[name]
    shape = (tier["size"], tier["size"])
    scan = CtScan(ParallelGeometry.covering(shape, FIELD / tier["size"], even_angles(views)), photons)
    parts = {
        part: make_pairs(scan, tier[part], tier["size"], seed, room)
        for room, part in enumerate(("training", "validation"))
    }
    found: Found = {}
    with tempfile.TemporaryDirectory() as folder:
        fitted = fit(scan, parts, Path(folder) / "run", seed, tier, 0.0)
        for body, volume in volumes(head).items():
            pairs = real_pairs(scan, body, volume, tier, seed)
            table, made = compare(fitted.methods(scan.physics), pairs, scan.physics.A, fitted.choices.data_range)
            found[body] = table, made, pairs
    return found


def real_pairs(scan: CtScan, body: str, volume: Scan, tier: dict[str, Any], seed: int) -> Pairs:
    """Axial slices over the middle 80 % of a volume, as attenuation, measured."""
    plane = Plane.square(FINER * tier["size"], FIELD)
    count = volume.geometry.oriented("LPS").shape[2]
    numbers = np.linspace(0.1 * count, 0.9 * count, tier["slices"]).astype(int)
    fine = torch.stack(
        [
            torch.from_numpy(axial_map(volume, int(k), plane).attenuation(ENERGY).astype(np.float32))[None]
            for k in numbers
        ]
    )
    measured = scan.measured(fine, Generator().manual_seed(seed))
    names = tuple(f"{body} {k}" for k in numbers)
    return Pairs(scan.images(fine), measured, names, (body,) * len(names))


def claims_of(what: str, found: list[tuple[Any, dict[str, Any], Pairs]]) -> list[Claim]:
    """Mean PSNR over slices and seeds of ACID against its network and against TV; of one patient, so no interval."""
    shown = {
        f"{method} [dB]": float(np.mean([table[table["method"] == method]["psnr"].mean() for table, _, _ in found]))
        for method in found[0][1]
    }
    claims = []
    for other, words in (("network", "its own network"), ("TV", "tuned TV")):
        gain, name = shown["ACID [dB]"] - shown[f"{other} [dB]"], f"{what}: PSNR of ACID over {words}"
        claims.append(Claim(name, gain, np.nan, np.nan, "dB", 1, None, "higher", shown))
    return claims


def sheet(body: str, protocol: str, made: dict[str, Any], pairs: Pairs) -> Figure:
    """Some slices, every reconstruction and its error."""
    chosen = np.linspace(0, len(pairs) - 1, min(SHOWN, len(pairs))).astype(int)
    images = {name: values[chosen] for name, values in made.items()}
    figure = comparison_sheet(pairs.truth[chosen], images, [pairs.names[k] for k in chosen], SHOWN)
    caption = f"The {body} at {protocol}: reconstructions and below them their absolute errors, one scale a slice."
    return Figure(figure, caption, caption)


def write_page(path: Path, sections: list[Section]) -> None:
    """Write the pictures."""
    subtitle = "Networks that learnt from simulated bodies, on scans of two patients whom they never saw."
    write_report(path, "Real anatomy", subtitle, sections, environment(), footer=RECONSTRUCTED)


if __name__ == "__main__":
    main()
