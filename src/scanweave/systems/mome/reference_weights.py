"""Published weights of BEiT-3 (Wang et al., CVPR 2023), read safely and renamed to the layers of our network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from scanweave.engine.checkpoint import write_weights
from scanweave.engine.unpickled_weights import checked_weight, unpickled_weights
from scanweave.engine.weight_sources import SUFFIX
from scanweave.errors import ScanweaveError
from scanweave.files import file_sha256
from scanweave.systems.mome.experts import Layer

ROOM = "beit3.encoder.layers."
BRANCH = "A"
"""The branch of images; B is that of language."""
PARTS = {
    "attention_norm": f"self_attn_layer_norm.{BRANCH}",
    "attention.query": f"self_attn.q_proj.{BRANCH}",
    "attention.key": f"self_attn.k_proj.{BRANCH}",
    "attention.value": f"self_attn.v_proj.{BRANCH}",
    "attention.inner_norm": f"self_attn.inner_attn_ln.{BRANCH}",
    "attention.out": f"self_attn.out_proj.{BRANCH}",
    "feed_norm": f"final_layer_norm.{BRANCH}",
    "feed.first": f"ffn.{BRANCH}.fc1",
    "feed.inner_norm": f"ffn.{BRANCH}.ffn_layernorm",
    "feed.second": f"ffn.{BRANCH}.fc2",
}
"""Parts of our `Layer` → of theirs."""
ADVICE = "Give published weights of BEiT-3, such as beit3_base_patch16_224.pth"


def renamed(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the layers of BEiT-3's branch of images by our names, `layers.0.attention.query.weight` and so on.

    Its embeddings, its branch of language and its last norm are left out: they have no place in our network.

    Args:
        published: Its state_dict.

    Raises:
        ScanweaveError: A tensor of a layer is absent, surplus, of another shape, or not of finite numbers.
    """
    own = {name for name in published if name.startswith(ROOM) and f".{BRANCH}." in name}
    numbers = {name.removeprefix(ROOM).partition(".")[0] for name in own}
    width, hidden = (_rows(published, f"{ROOM}0.{PARTS[part]}.weight") for part in ("attention.query", "feed.first"))
    with torch.device("meta"):
        layer = Layer(width, 1, hidden, {}, 0.0).state_dict()
    made = {}
    for number in range(len(numbers)):
        for name, value in layer.items():
            part, _, leaf = name.rpartition(".")
            theirs = f"{ROOM}{number}.{PARTS[part]}.{leaf}"
            made[f"layers.{number}.{name}"] = checked_weight(published, theirs, tuple(value.shape), ADVICE)
            own.discard(theirs)
    if own:
        raise ScanweaveError(min(own), "not a layer of BEiT-3", ADVICE)
    return made


def import_weights(source: str | Path, out: str | Path) -> Path:
    """Convert weights of BEiT-3 to a file for `scanweave fit mome --from FILE --start.partial true`.

    See `unpickled_weights` for how the file is read. `out` appears whole or not at all.

    Args:
        source: Such as `beit3_base_patch16_224.pth`.
        out: The .safetensors file to write.

    Raises:
        ScanweaveError: The file is not what it should be, or `out` is there or no .safetensors file.
    """
    source, out = Path(source), Path(out)
    if out.suffix != SUFFIX:
        raise ScanweaveError(out, f"is no {SUFFIX} file", f"Name one, such as --out beit3{SUFFIX}")
    if out.exists():
        raise ScanweaveError(out, "exists already", "Choose another --out")
    tensors = unpickled_weights(source, ADVICE)
    try:
        made = renamed(tensors)
    except ScanweaveError as error:
        raise ScanweaveError(source, f"{error.where}: {error.reason}", error.next_step) from error
    digest = file_sha256(source)
    write_weights(out, made, {"weights": "imported", "source": "BEiT-3", "file": source.name, "sha256": digest})
    return out


def _rows(weights: Mapping[str, Tensor], name: str) -> int:
    tensor = weights.get(name)
    if tensor is None or tensor.ndim != 2:
        raise ScanweaveError(name, "this layer is absent from the weights", ADVICE)
    return len(tensor)
