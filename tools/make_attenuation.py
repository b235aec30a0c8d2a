"""Write `physics/spectral/tables/attenuation.csv` anew, from the cross-sections of xraylib.

    pip install xraylib==4.3.0 && python tools/make_attenuation.py

Columns are total mass attenuation coefficients with coherent scattering [cm²/g]. Compositions and densities of tissues
are those of ICRU Report 44 (1989), as NIST lists them (Hubbell and Seltzer, NISTIR 5632, table 2); elements have the
density of the solid. At each absorption edge above 10 keV two rows, 0.1 eV to either side of it, hold the two values.
"""

from __future__ import annotations

from pathlib import Path

import xraylib

TARGET = Path(__file__).parents[1] / "src" / "scanweave" / "physics" / "spectral" / "tables" / "attenuation.csv"
H, C, N, O, NA, MG, AL, P, S, CL, K, CA, FE = 1, 6, 7, 8, 11, 12, 13, 15, 16, 17, 19, 20, 26  # noqa: E741
I, CU, GD, AU = 53, 29, 64, 79  # noqa: E741
MATERIALS: dict[str, tuple[float, dict[int, float]]] = {
    "water": (1.0, {H: 0.111894, O: 0.888106}),
    "soft_tissue": (
        1.06,
        {H: 0.102, C: 0.143, N: 0.034, O: 0.708, NA: 0.002, P: 0.003, S: 0.003, CL: 0.002, K: 0.003},
    ),
    "adipose": (0.95, {H: 0.114, C: 0.598, N: 0.007, O: 0.278, NA: 0.001, S: 0.001, CL: 0.001}),
    "bone": (1.92, {H: 0.034, C: 0.155, N: 0.042, O: 0.435, NA: 0.001, MG: 0.002, P: 0.103, S: 0.003, CA: 0.225}),
    "blood": (
        1.06,
        {H: 0.102, C: 0.11, N: 0.033, O: 0.745, NA: 0.001, P: 0.001, S: 0.002, CL: 0.003, K: 0.002, FE: 0.001},
    ),
    "iodine": (4.93, {I: 1.0}),
    "gadolinium": (7.9004, {GD: 1.0}),
    "gold": (19.32, {AU: 1.0}),
    "calcium": (1.55, {CA: 1.0}),
    "aluminium": (2.699, {AL: 1.0}),
    "copper": (8.96, {CU: 1.0}),
}
"""Name, density [g/cm³] and mass fractions by atomic number."""
LOWEST, HIGHEST = 10, 150
GAP = 1e-4
"""Distance of the two rows at an edge from it [keV]."""
CLEAR = 3e-3
"""How far from an edge its two values are read [keV]: the tables of xraylib jump up to 2 eV beside the edge."""


def edges() -> list[float]:
    """Return K and L edges of the materials above the lowest energy [keV]."""
    elements = {element for _, parts in MATERIALS.values() for element in parts}
    found = (xraylib.EdgeEnergy(element, shell) for element in elements if element > AL for shell in range(4))
    return sorted(edge for edge in found if LOWEST < edge < HIGHEST)


def rows() -> list[tuple[float, float]]:
    """Return the energy of each row, and where its values are read [keV]."""
    plain = [(float(energy), float(energy)) for energy in range(LOWEST, HIGHEST + 1)]
    doubled = [(edge + sign * GAP, edge + sign * CLEAR) for edge in edges() for sign in (-1, 1)]
    return sorted(plain + doubled)


def main() -> None:
    """Write the table."""
    lines = [
        f"# mass attenuation [cm2/g], xraylib {xraylib.__version__}, tools/make_attenuation.py",
        ",".join(["energy_kev", *MATERIALS]),
        ",".join(["density_g_cm3", *(f"{density:g}" for density, _ in MATERIALS.values())]),
    ]
    for energy, at in rows():
        values = [sum(w * xraylib.CS_Total(z, at) for z, w in parts.items()) for _, parts in MATERIALS.values()]
        lines.append(",".join([f"{energy:.4f}", *(f"{value:.6g}" for value in values)]))
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
