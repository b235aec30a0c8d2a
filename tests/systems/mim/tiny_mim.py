"""A MiM that is small enough for tests: two levels of 16³ voxels, blocks of 4³."""

from scanweave.systems.mim.config import SMALL, MimConfig

TINY = {
    "levels": {"extent": 16, "view": 16, "units": [2, 1], "ratios": [0.5, 0.5], "children": [2]},
    "network": {
        "widths": [4, 8], "depths": [1, 1], "heads": 2, "decoder_width": 12, "decoder_layers": 1, "decoder_heads": 2,
    },
    "training": {
        "steps": 4, "batch_size": 2, "warm_up": 0, "validate_every": 2, "log_every": 1, "workers": 0, "device": "cpu",
        "ema_decay": None,
    },
}  # fmt: skip


def tiny_config(**more):
    """Return the settings of the preset `small` with those of `TINY`, and more groups of them."""
    content = SMALL.model_dump()
    for group in (TINY, more):
        for name, values in group.items():
            content[name] = {**content[name], **values}
    return MimConfig.model_validate(content)
