"""`scanweave simulate`: cohorts whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from scanweave.studies.cohort import Cohort


@dataclass
class SimulateBodies:
    """Make CT of chest and upper abdomen with findings: NIfTI in HU, masks, truth.json. Takes up where it stopped.

    Findings: cardiomegaly, effusion, consolidation, nodule, steatosis, splenomegaly, liver_lesion, kidney_cyst. Sites
    A, B and C differ in noise, sharpness, offset and use of contrast agent.
    """

    subjects: int
    """How many; each is one study of one simulated patient."""
    out: Path
    """Folder to make; a cohort afterwards."""
    seed: int = 0
    """The same seed gives the same patients, whatever --spacing, --noise and --sites are."""
    spacing: float = 3.0
    """Edge of a voxel [mm]."""
    findings: tuple[str, ...] = ()
    """Findings that are planted; all eight when left out."""
    prevalence: tuple[str, ...] = ("0.3",)
    """Chance of every finding, or of some: nodule=0.5 effusion=0.2."""
    sites: tuple[str, ...] = ("A",)
    """Site A, B or C, or a share of each: A=0.7 B=0.3."""
    noise: float = 1.0
    """Factor on the noise of every site; 0 for none."""
    workers: int = 1
    """Processes; the result does not depend on them."""

    def run(self) -> int:
        """Simulate, and say where the cohort is."""
        from scanweave.engine.progress import counted
        from scanweave.simulate.bodies import BodiesSettings, simulate_bodies

        fields = {name: value for name, value in vars(self).items() if name in BodiesSettings.model_fields}
        with counted("studies") as progress:
            cohort = simulate_bodies(
                self.out,
                subjects=self.subjects,
                seed=self.seed,
                workers=self.workers,
                progress=progress,
                **{name: value for name, value in fields.items() if value != getattr(type(self), name)},
            )
        return _told(cohort)


@dataclass
class SimulateBrain:
    """Make multi-sequence brain MRI from signal equations: NIfTI, masks and truth.json. Takes up where it stopped.

    Sequences: t1, t1c, t2, flair and pd, and two whose place in a ranking is known: t2r is computed from t2 alone (it
    carries nothing of its own), mix from t1 and t2 (it needs both).
    """

    subjects: int
    """How many; each is one study of one simulated patient."""
    out: Path
    """Folder to make; a cohort afterwards."""
    seed: int = 0
    """The same seed gives the same cohort."""
    spacing: float = 2.0
    """Edge of a voxel [mm]."""
    protocol: Literal["none", "random", "brats14"] = "none"
    """Which sequences are absent: none; each with the chance --missing; the 14 subsets of the BraTS protocol."""
    missing: float = 0.0
    """Chance of a sequence to be absent, with --protocol random."""
    keep_removed: bool = False
    """Also write the removed scans, to the cohort OUT/held_out."""
    dce_frames: int = 0
    """Time points of a 4D contrast series; 0 leaves it out."""
    randomise: bool = False
    """Draw field, protocol, resolution, receive field, motion, noise, units, skull or none, and small lesions anew for
    every subject, to train on scans of any scanner; t1, t1c, t2, flair alone."""
    oracle: bool = False
    """Also measure how hard each sequence is to generate by plain regression; about a minute at 2 mm."""
    workers: int = 1
    """Processes; the result does not depend on them."""

    def run(self) -> int:
        """Simulate, and say where the cohort is."""
        from scanweave.engine.progress import counted
        from scanweave.simulate import simulate_brain
        from scanweave.simulate.settings import MAIN, SEQUENCES

        with counted("studies") as progress:
            cohort = simulate_brain(
                self.out,
                subjects=self.subjects,
                seed=self.seed,
                workers=self.workers,
                progress=progress,
                keep_removed=self.keep_removed,
                oracle=self.oracle,
                spacing=self.spacing,
                protocol=self.protocol,
                missing=self.missing,
                dce_frames=self.dce_frames,
                scanners=self.randomise,
                sequences=MAIN if self.randomise else SEQUENCES,
            )
        return _told(cohort)


@dataclass
class SimulateBreast:
    """Make multi-sequence breast MRI with lesions of known kinetics: NIfTI and truth.json. Takes up where it stopped.

    Sequences, those of the Seq2Seq paper: t1, fst1, t2, dce, fsdce, dwi (fs: fat suppressed; dce: a series after
    contrast agent), and two maps of the acquired dce: washin, washout. With --outcomes a cohort for classification.
    """

    subjects: int
    """How many; each is one study of one simulated patient."""
    out: Path
    """Folder to make; a cohort afterwards."""
    seed: int = 0
    """The same seed gives the same cohort."""
    spacing: float = 2.0
    """Edge of a voxel [mm]."""
    sequences: tuple[str, ...] = ()
    """Sequences to write; all when left out, but adc, a map of dwi for networks that take no series."""
    outcomes: bool = False
    """Plant malignancy, subtype and response in what dce, dwi, t2 and a table each show alone; one lesion in every
    subject, three sites; the best possible answers from each set of these go to outcomes.json."""
    crop: float = 0.0
    """Edge of the cube around the largest lesion that is kept [mm]; 0 keeps all."""
    both: bool = False
    """Both breasts in one scan, which is wider then; else one of either side."""
    dce_times: tuple[float, ...] = (0.0, 60.0, 120.0, 180.0, 240.0, 300.0)
    """Times of the frames of dce [s]; the contrast agent is injected at 30 s."""
    fsdce_times: tuple[float, ...] = (0.0, 75.0, 150.0, 225.0, 300.0)
    """Times of the frames of fsdce [s]."""
    b_values: tuple[float, ...] = (0.0, 50.0, 400.0, 800.0)
    """Diffusion weighting of the frames of dwi [s/mm²]."""
    protocol: Literal["none", "random"] = "none"
    """Which sequences are absent: none; each with the chance --missing."""
    missing: float = 0.0
    """Chance of a sequence to be absent, with --protocol random."""
    keep_removed: bool = False
    """Also write the removed scans, to the cohort OUT/held_out."""
    workers: int = 1
    """Processes; the result does not depend on them."""

    def run(self) -> int:
        """Simulate, and say where the cohort is."""
        from scanweave.engine.progress import counted
        from scanweave.simulate.breast import simulate_breast
        from scanweave.simulate.breast.settings import SEQUENCES

        with counted("studies") as progress:
            cohort = simulate_breast(
                self.out,
                subjects=self.subjects,
                seed=self.seed,
                workers=self.workers,
                progress=progress,
                keep_removed=self.keep_removed,
                spacing=self.spacing,
                sequences=self.sequences or SEQUENCES,
                outcomes=self.outcomes,
                crop=self.crop,
                both=self.both,
                dce_times=self.dce_times,
                fsdce_times=self.fsdce_times,
                b_values=self.b_values,
                protocol=self.protocol,
                missing=self.missing,
            )
        return _told(cohort)


@dataclass
class SimulateCt:
    """Make spectral CT slices of random bodies: counts (HDF5), true bins and materials. Takes up where it stopped."""

    subjects: int
    """How many; each is one study of one simulated patient."""
    out: Path
    """Folder to make; a cohort afterwards."""
    seed: int = 0
    """The same seed gives the same cohort."""
    size: int = 96
    """Pixels along each side of a slice."""
    field_of_view: float = 100.0
    """Side of a slice [mm]; bodies wider than about 100 mm starve bins below 30 keV."""
    geometry: Literal["parallel", "fan-flat", "fan-arc"] = "fan-flat"
    """How rays run."""
    views: int = 120
    """Views, over 180° (parallel) or 360° (fans)."""
    kvp: Literal[50, 80, 120] = 120
    """Tube voltage [kV]."""
    thresholds: tuple[float, ...] = (20.0, 34.0, 51.0, 65.0, 82.0)
    """Lower threshold of each energy bin [keV]."""
    photons: float = 3e4
    """Dose: photons of the open beam a reading, over all energies."""
    texture: float = 0.02
    """Relative spread of density within a tissue; 0 draws piecewise constant bodies."""
    workers: int = 1
    """Processes; the result does not depend on them."""

    def run(self) -> int:
        """Simulate, and say where the cohort is."""
        from scanweave.engine.progress import counted
        from scanweave.simulate.ct.cohort import simulate_ct

        with counted("studies") as progress:
            cohort = simulate_ct(
                self.out,
                subjects=self.subjects,
                seed=self.seed,
                workers=self.workers,
                progress=progress,
                size=self.size,
                field_of_view=self.field_of_view,
                geometry=self.geometry,
                views=self.views,
                kvp=self.kvp,
                thresholds=self.thresholds,
                photons=self.photons,
                body={"texture": self.texture},
            )
        return _told(cohort)


@dataclass
class SimulateFilms:
    """Make chest films with findings, and marks that go with them: PNG, boxes and masks. Takes up where it stopped.

    Findings: nodule, effusion, pneumothorax, fracture, cardiomegaly. Marks that are no finding: marker (a letter),
    tube, device. Sites A and B take and mark films in their own ways.
    """

    subjects: int
    """How many; each is one film of one simulated patient."""
    out: Path
    """Folder to make; a cohort afterwards."""
    seed: int = 0
    """The same seed gives the same patients, whatever --rho and --sites are."""
    size: int = 256
    """Side of a film [pixel]; on backgrounds the longer one."""
    findings: tuple[str, ...] = ()
    """Findings that have a label; all five when left out."""
    prevalence: tuple[str, ...] = ("0.3",)
    """Chance of every finding, or of some: nodule=0.5 effusion=0.2."""
    conspicuity: float = 1.0
    """Factor on what shows a finding, such as the contrast of a nodule."""
    noise: float = 1.0
    """Factor on the noise of every site; 0 for none."""
    shortcuts: tuple[str, ...] = ("marker=nodule", "tube=effusion")
    """Which mark goes with which finding; none for no such pair."""
    rho: float = 0.5
    """Chance of a mark to agree with its finding: 0.5 tells nothing, 0.95 nearly all, 0.05 the contrary."""
    sites: tuple[str, ...] = ("A",)
    """Site A or B, which differ in noise, gain, gamma, blur and marker; or a share of each: A=0.7 B=0.3."""
    annotated: float = 1.0
    """Share of films that have boxes and masks; the others have labels alone."""
    backgrounds: Path | None = None
    """Folder of real films, or a cohort of them, to put nodules and marks into, each at most once."""
    workers: int = 1
    """Processes; the result does not depend on them."""

    def run(self) -> int:
        """Simulate, and say where the cohort is."""
        from scanweave import wording
        from scanweave.engine.progress import counted
        from scanweave.files import read_json
        from scanweave.simulate.films import FilmSettings, simulate_films
        from scanweave.simulate.writing import TRUTH

        fields = {name: value for name, value in vars(self).items() if name in FilmSettings.model_fields}
        with counted("films") as progress:
            cohort = simulate_films(
                self.out,
                subjects=self.subjects,
                seed=self.seed,
                workers=self.workers,
                progress=progress,
                **{name: value for name, value in fields.items() if value != getattr(type(self), name)},
            )
        if self.backgrounds is not None:
            left_out = read_json(cohort.folder / TRUTH, "Run it again")["backgrounds"]["left_out"]
            print(f"left out: {wording.count(left_out, 'background')} in which both lungs were not found")
        return _told(cohort)


@dataclass
class SimulateReports:
    """Write a report on every study of simulated films or bodies, from what was planted: a new cohort of both.

    Institutions A, B and C write in their own ways. What each report says of which finding goes to truth.json.
    """

    of: Path
    """Folder of a cohort that simulate films or simulate bodies made; its images stay there."""
    out: Path
    """Folder to make; a cohort afterwards."""
    seed: int = 0
    """The same seed gives the same reports."""
    institutions: tuple[str, ...] = ("A",)
    """Institution A, B or C, or a share of each: A=0.7 B=0.3."""
    wording: Literal["seen", "unseen"] = "seen"
    """unseen: other paraphrases of every finding, to test on."""
    omitted: float = 0.3
    """Share of absent findings that are not spoken of."""
    missed: float = 0.07
    """Share of present findings that are not spoken of."""
    asides: float = 1.5
    """Sentences on other things, on average."""

    def run(self) -> int:
        """Write them, and say where the cohort is."""
        from scanweave.simulate.reports import simulate_reports

        settings = {name: value for name, value in vars(self).items() if name not in ("of", "out", "seed")}
        return _told(simulate_reports(self.of, self.out, seed=self.seed, **settings))


@dataclass
class SimulateTumours:
    """Make CT of livers with tumours, cysts, or neither: NIfTI in HU, masks, truth.json. Takes up where it stopped.

    Tumours are irregular clumps with rims and dead cores, painted before the scanner blurs and adds noise: another
    process than that of synthesize, so that what learnt from made tumours is tested on others.
    """

    subjects: int
    """How many; each is one study of one simulated patient."""
    out: Path
    """Folder to make; a cohort afterwards."""
    seed: int = 0
    """The same seed gives the same scans."""
    spacing: float = 3.0
    """Edge of a voxel [mm]."""
    tumours: float = 0.7
    """Share of scans with tumours."""
    most: int = 3
    """Most tumours of a scan."""
    diameter: tuple[float, float] = (8.0, 40.0)
    """Least and largest diameter [mm]."""
    contrast: tuple[float, float] = (12.0, 45.0)
    """How much darker than the liver a tumour is, least and most [HU]."""
    cysts: int = 2
    """Most cysts of a liver, which are no tumours."""
    unlabelled: float = 0.0
    """Share of the scans without a tumour that have no mask of tumours: nobody looked."""
    sites: tuple[str, ...] = ("A",)
    """Site A, B or C of simulated bodies, or a share of each: A=0.7 B=0.3."""
    noise: float = 1.0
    """Factor on the noise of every site; 0 for none."""
    workers: int = 1
    """Processes; the result does not depend on them."""

    def run(self) -> int:
        """Simulate, and say where the cohort is."""
        from scanweave.engine.progress import counted
        from scanweave.simulate.tumours import TumoursSettings, simulate_tumours

        fields = {name: value for name, value in vars(self).items() if name in TumoursSettings.model_fields}
        with counted("studies") as progress:
            cohort = simulate_tumours(
                self.out, subjects=self.subjects, seed=self.seed, workers=self.workers, progress=progress, **fields
            )
        return _told(cohort)


def _told(cohort: Cohort) -> int:
    """Say what was made and where it is."""
    from scanweave import wording

    print(" · ".join(f"{name} {count}" for name, count in cohort.counts().items()))
    step = "check" if cohort.splits() is not None else "split"
    print(f"wrote {cohort.folder}: {wording.studies(len(cohort))} · next: scanweave cohort {step} {cohort.folder}")
    return 0


COMMANDS: dict[str, type] = {
    "bodies": SimulateBodies,
    "brain": SimulateBrain,
    "breast": SimulateBreast,
    "ct": SimulateCt,
    "films": SimulateFilms,
    "reports": SimulateReports,
    "tumours": SimulateTumours,
}
