"""Words beside the name of a sequence that change what the picture is: contrast agents, variants, derived images."""

from __future__ import annotations

import re
from collections.abc import Sequence


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


CONTRAST = word_set(
    "gd gad gado gadolinium gadovist gadavist gadobutrol dotarem magnevist multihance prohance km kontrast "
    "kontrastmittel contrast mdc ce enhanced postcontrast postgd postgad postgado postce postkm c+ +c +gd +km "
    "+ce afterkm mitkm"
)
"""Words that say that a contrast agent was given."""
ENHANCED = {"t1": "t1c"} | {name: f"{name}_c" for name in ("t2", "flair", "pd", "t2s", "swi", "ct", "angio")}
"""Names without and with contrast."""
ALWAYS_ENHANCED = frozenset({"t1c", "cta", "dce", "dsc"})
TREATMENT = word_set("op operation operative surgery surgical rt radiation treatment therapy chemo biopsy")
"""Words after `post` or `pre` that make them say when, not that a contrast agent was given."""
NEGATIONS = word_set("pre no non not without wo ohne sans senza before vor minus")
PLAIN = frozenset({"precontrast", "noncontrast"})
"""Words that say that no contrast agent was given."""
VARIANTS = word_set(
    "phase real imag imaginary arterial venous portal portovenous portalvenous delayed nephrographic "
    "excretory equilibrium hepatobiliary stir tirm ir dir fat water inphase outphase trace tracew"
)
"""Words of a picture that was measured too, but shows something else: they become part of the name."""
TRACERS = word_set(
    "pib florbetapir florbetaben flutemetamol av45 av1451 flortaucipir amyloid tau mk6240 psma dotatate "
    "dotatoc fet flt fmiso faza choline met methionine naf fluoride fdopa dopa raclopride ucbj fapi acetate "
    "pbr28 dpa714"
)
DERIVED = word_set(
    "map maps mapping quantitative parametric phasecontrast mip minip minp projection warp inversewarp "
    "warpfield deformation displacement field fieldmap jacobian jac xfm transform biasfield bias biasmap diff "
    "difference subtraction subtracted ratio std stdev var variance sigma noise mean median snr tsnr residual "
    "residuals error uncertainty entropy prob probability probabilities probseg pve pveseg gm wm csf "
    "thickness curvature distance sdf edge edges gradient heatmap saliency attention gradcam overlay "
    "screenshot thumbnail preview localizer localiser scout survey calib calibration sbref ref reference "
    "template atlas synth synthetic synthesized synthesised synthesis pred predicted prediction predictions "
    "fake generated simulated dtseries dscalar dlabel ptseries pscalar pconn dconn"
)
"""Words of a picture that was computed from another one, or serves to make it: such files are left out and told."""
DERIVED_OF = {
    "dwi": word_set("fa md rd ad mk ak rk colfa tensor s0 m0 exp eadc expadc kurtosis"),
    "dsc": word_set("rcbv cbv cbf rcbf mtt rmtt tmax ttp k2 leakage bat auc"),
    "dce": word_set("ktrans ve vp kep auc iauc pei ttp washin washout"),
    "asl": word_set("cbf cbv att bat m0 m0scan control"),
    "bold": word_set("alff falff reho zstat tstat cope varcope beta"),
    "t2s": word_set("r2 r2s r2star qsm chi"),
    "swi": word_set("qsm chi"),
}
CORRECTED = frozenset({"eq", "tilt"})
"""Words of dcm2niix's for what it wrote once more, with equal spacing or without the gantry's tilt."""
CUT = frozenset({"crop"})
COMPOUNDS = {
    ("dark", "fluid"): "darkfluid",
    ("bias", "field"): "biasfield",
    ("phase", "contrast"): "phasecontrast",
    ("arterial", "phase"): "arterial",
    ("venous", "phase"): "venous",
    ("portal", "phase"): "portal",
    ("portal", "venous"): "portalvenous",
    ("delayed", "phase"): "delayed",
    ("in", "phase"): "inphase",
    ("out", "phase"): "outphase",
    ("opposed", "phase"): "outphase",
    ("c", "+"): "c+",
    ("w", "o"): "wo",
}
SAME = {"ph": "phase", "pha": "phase", "opposed": "outphase", "oppphase": "outphase", "opp": "outphase"}
_NUMBERED = re.compile(r"(?:e|echo|inv)\d{1,2}")
_B_VALUE = re.compile(r"b\d{1,5}")
_MAP = re.compile(r".*(?:map|warp)s?")


def compound(one: str, two: str) -> str | None:
    """Return the one word that two neighbours make, such as `dark fluid` or `pre contrast`; None: they make none."""
    if one in NEGATIONS and two in CONTRAST:
        return "precontrast"
    if one == "post" and two in CONTRAST:
        return "postcontrast"
    if one in ("post", "pre") and two in TREATMENT:
        return f"{one}op"
    if one in ("echo", "inv", "b") and re.fullmatch(r"\d{1,5}", two):
        return f"{one}{two}"
    return COMPOUNDS.get((one, two))


def changes(word: str) -> bool:
    """Return whether a word beside that of a sequence may change what the picture is."""
    known = CONTRAST | VARIANTS | DERIVED | TRACERS | PLAIN | {"darkfluid"}
    return word in known or word in SAME or bool(_NUMBERED.fullmatch(word) or _MAP.fullmatch(word))


def changed(name: str, further: Sequence[str]) -> str:
    """Return the name of a sequence once the words beside it are heeded: `t1`, `["gd"]` → `t1c`.

    Raises:
        ValueError: They say that it is another picture, or may say so; the message is why.
    """
    texts = [SAME.get(word, word) for word in further]
    for text, own in zip(texts, further, strict=True):
        diffusion = text == "diff" and name in ("dwi", "adc")  # as in `ep2d_diff`
        if (text in DERIVED and not diffusion) or text in DERIVED_OF.get(name, ()) or _MAP.fullmatch(text):
            raise ValueError(f"'{own}' beside {name} may be another picture than {name}")
    if "darkfluid" in texts and name != "flair":
        name = _dark_fluid(name)
    if any(text in CONTRAST for text in texts) and name not in ALWAYS_ENHANCED:
        if name not in ENHANCED:
            raise ValueError(f"contrast beside {name}")
        name = ENHANCED[name]
    elif "post" in texts and name in ENHANCED:
        raise ValueError(f"'post' beside {name} may mean after contrast or at a later visit")
    elif "c" in texts and name in ("t1", "ct"):
        raise ValueError(f"'c' beside {name} may mean with contrast")
    elif name == "t1c" and TREATMENT.intersection(texts):
        raise ValueError("'post' beside t1 may mean after contrast or at a later visit")
    return "_".join(dict.fromkeys([name, *(text for text in texts if _is_variant(name, text))]))


def rank(further: Sequence[str]) -> int:
    """Return how a file stands to others of its name that dcm2niix wrote from the same slices: the highest is meant."""
    return sum(word in CORRECTED for word in further) - sum(word in CUT for word in further)


def _dark_fluid(name: str) -> str:
    if name != "t2":
        raise ValueError(f"'dark fluid' beside {name} may be another picture than {name}")
    return "flair"


def _is_variant(name: str, text: str) -> bool:
    if name == "dwi" and _B_VALUE.fullmatch(text):
        return True
    if name == "pet":
        return text in TRACERS
    if name in ("flair", "adc", "flair_c") and text in ("tirm", "ir", "trace", "tracew"):
        return False  # how a FLAIR is measured, and what an ADC is made of
    return text in VARIANTS or bool(_NUMBERED.fullmatch(text))
