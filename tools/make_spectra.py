"""Write `physics/spectral/tables/spectra.csv` anew: tube spectra by spekpy (Poludniowski et al., Med Phys 2021).

    pip install spekpy==2.5.4 && python tools/make_spectra.py

A tungsten anode at 12°; 80 and 120 kVp behind 6 mm of aluminium (a body scanner), 50 kVp behind 2 mm (a small animal
scanner). Columns are photons per cm² and mAs at 1 m in a bin of 1 keV around the energy of the row.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import spekpy

TARGET = Path(__file__).parents[1] / "src" / "scanweave" / "physics" / "spectral" / "tables" / "spectra.csv"
TUBES = {50: 2.0, 80: 6.0, 120: 6.0}
"""Tube voltage [kV] and filter [mm Al]."""
ANODE = 12.0
LOWEST = 10.0


def main() -> None:
    """Write the table."""
    columns: dict[float, list[float]] = {}
    for number, (voltage, filtration) in enumerate(TUBES.items()):
        tube = spekpy.Spek(kvp=voltage, th=ANODE, dk=1.0, mas=1.0, z=100.0)
        tube.filter("Al", filtration)
        for energy, fluence in zip(*tube.get_spectrum(), strict=True):
            if energy > LOWEST:
                columns.setdefault(float(energy), [0.0] * len(TUBES))[number] = float(fluence)
        print(f"{voltage} kVp: mean {tube.get_emean():.2f} keV, HVL {tube.get_hvl1():.3f} mm Al")
    lines = [
        f"# photons per keV, cm2 and mAs at 1 m; tungsten, {ANODE:g} degrees; spekpy {version('spekpy')}, "
        "tools/make_spectra.py",
        ",".join(["energy_kev", *(f"{kv}_kvp" for kv in TUBES)]),
        ",".join(["filter_mm_al", *(f"{mm:g}" for mm in TUBES.values())]),
    ]
    rows = ([f"{energy:.1f}", *(f"{value:.6g}" for value in columns[energy])] for energy in sorted(columns))
    lines += [",".join(row) for row in rows]
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
