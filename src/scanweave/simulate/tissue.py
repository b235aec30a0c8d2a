"""Materials of each tissue at 3 T, and the differences between subjects."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from numpy.random import Generator

from scanweave.simulate.lesions import TISSUES
from scanweave.simulate.material import Material, Values

PARAMETERS = MappingProxyType(
    {
        "csf": (1.00, 4300.0, 1900.0, 0.0),
        "gm": (0.83, 1331.0, 110.0, 0.02),
        "wm": (0.71, 832.0, 80.0, 0.01),
        "core": (0.95, 2600.0, 260.0, 0.01),
        "rim": (0.88, 1550.0, 160.0, 0.30),
        "oedema": (0.88, 1550.0, 160.0, 0.0),
        "blood": (0.85, 1650.0, 110.0, 0.70),
    }
)
"""Mean of each tissue: proton density, T1 [ms], T2 [ms], contrast agent in `t1c` [mmol/L].

Grey and white matter: Wansapura et al., J Magn Reson Imaging 1999; their water content: Whittall et al., Magn Reson
Med 1997; T1 of fluid: Rooney et al., Magn Reson Med 2007. The lesion's parts and the concentrations are our choice,
within what is seen in gliomas. `rim` equals `oedema` except for the agent: that is what makes it unique to `t1c`.
"""

BLOOD = len(TISSUES)
"""Row of blood in the arrays of `draw_material`, after `TISSUES`. It shows only through the contrast agent."""


def draw_material(rng: Generator) -> tuple[Material, Values]:
    """Draw one subject's tissues, and the concentration of contrast agent in each [mmol/L]; `(7,)` each.

    T1, T2 and proton density vary by about 4, 4 and 1.5 %, those of lesions by twice as much, the dose by 20 %.
    """
    pd, t1, t2, dose = np.array(list(PARAMETERS.values())).T
    width = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 1.0])
    spread = [np.exp(width * rng.normal(0, share, width.size)) for share in (0.015, 0.04, 0.04)]
    dose = dose * np.exp(rng.normal(0, 0.2)) * np.exp(rng.normal(0, 0.1, width.size))
    for values in spread:
        values[TISSUES.index("rim")] = values[TISSUES.index("oedema")]
    return Material(pd * spread[0], t1 * spread[1], t2 * spread[2]), dose
