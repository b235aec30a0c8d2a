"""The stability audit: perturbations, small structures, more data and the attack's own checks, into a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scanweave.audit import page
from scanweave.audit.results import StabilityAudit
from scanweave.audit.settings import AuditSettings
from scanweave.errors import ScanweaveError
from scanweave.files import atomic_folder, write_json
from scanweave.measures.stability.attack import AttackSettings
from scanweave.measures.stability.audit_setup import Setup
from scanweave.measures.stability.curve import Domain, stability_curve, strongest, target_of
from scanweave.measures.stability.more_views import measure_views
from scanweave.measures.stability.structures import dots, draw_inserts, measure_structures, symbols
from scanweave.measures.stability.validity import check_attacks, check_gradients
from scanweave.report.saving import save_table

JSON, PAGE = "stability.json", "stability.html"
CHECKED = 2
"""Images that gradients are checked on."""
Say = Callable[[str], None]


def audit_stability(setup: Setup, settings: AuditSettings, say: Say = print) -> StabilityAudit:
    """Try how stable every method of a setup is.

    Args:
        setup: Methods and images.
        settings: How much is tried.
        say: Takes a line a stage.

    Raises:
        ScanweaveError: A setting or a method is at fault.
    """
    setup = setup.part(0, settings.images)
    found = StabilityAudit()
    rows, columns = (int(count) for count in setup.truth.shape[-2:])  # before hours of attacks, what may be refused
    inserts = [*dots((rows, columns), seed=settings.seed), *symbols((rows, columns))] if settings.contrasts else []
    for name in settings.domains:
        domain = _domain(name)
        trying = AttackSettings(settings.iterations, settings.warm_up, settings.restarts, seed=settings.seed)
        table, attacks = stability_curve(setup, settings.radii, trying, domain=domain, batch=settings.batch)
        few = setup.part(0, CHECKED)
        gradients = [
            check_gradients(target_of(few, method, domain), method, max(settings.radii), seed=settings.seed)
            for method in setup.methods
        ]
        found.curves[name], found.attacks[name] = table, attacks
        found.checks[name] = [*gradients, *check_attacks(table, attacks)]
        worst = strongest(table).groupby(["method", "share"])["amplification"].mean()[:, max(settings.radii)]
        say(f"{name}: amplification at {max(settings.radii):g}: {_listed(worst.to_dict())}")
        for check in found.checks[name]:
            if not check.passed:
                say(f"warning: {name}, {check.method}, {check.check}: {check.says}")
    if inserts:
        found.structures = measure_structures(setup, inserts, settings.contrasts, seed=settings.seed)
        found.pictures = draw_inserts(setup, inserts[-3], max(settings.contrasts), seed=settings.seed)
        say(f"small structures: AUC {_listed(found.structures.groupby('method', sort=False)['auc'].mean().to_dict())}")
    if settings.factors and setup.more is not None:
        found.views = measure_views(setup, settings.factors, seed=settings.seed)
        say(f"more data: {', '.join(f'{factor:g}×' for factor in settings.factors)} measured")
    return found


def write_audit(
    folder: Path, found: StabilityAudit, setup: Setup, settings: AuditSettings, about: Mapping[str, Any]
) -> Path:
    """Write tables, `stability.json` and the report page into a new folder, whole or not at all; return the page.

    Args:
        folder: The folder to make.
        found: What was found.
        setup: What it was found on.
        settings: How much was tried.
        about: How it came about, by label.

    Raises:
        ScanweaveError: The folder exists, or cannot be written.
    """
    if folder.exists():
        raise ScanweaveError(folder, "exists already", "Choose another --out, or remove it")
    with atomic_folder(folder) as temporary:
        for name, table in found.curves.items():
            save_table(table, temporary / f"{name}.csv")
        for name, extra in (("structures", found.structures), ("views", found.views)):
            if extra is not None:
                save_table(extra, temporary / f"{name}.csv")
        checks = {name: [asdict(check) for check in rows] for name, rows in found.checks.items()}
        summary = {name: page.summary_rows(table) for name, table in found.curves.items()}
        plain = {"format": 1, "about": dict(about), "studies": dict(setup.about)}
        plain["settings"] = settings.model_dump(mode="json")
        write_json(temporary / JSON, {**plain, "summary": summary, "checks": checks})
        page.write(temporary / PAGE, found, setup, settings, about)
    return folder / PAGE


def _domain(name: str) -> Domain:
    if name == "measurement":
        return "measurement"
    if name == "image":
        return "image"
    raise ScanweaveError("domains", f"there is no domain '{name}'", "Use measurement, image or both")


def _listed(values: Mapping[Any, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in values.items())
