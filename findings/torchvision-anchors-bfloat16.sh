#!/usr/bin/env bash
# torchvision 0.29.2: under `torch.autocast` with bfloat16 the anchors of its detectors are bfloat16 too, so that they lie
# up to 3 pixels beside their places on a film of 1024 × 1024, and are up to 4 pixels wider or narrower.
#
# Autocast is expected to choose the precision of arithmetic, not of places. But `AnchorGenerator` makes anchors in the
# type of the feature map, and bfloat16 has 8 bits of precision: from 256 on it knows even numbers only, from 512 on
# every fourth. Nothing warns; training and use go on, and what is boxed is a little off. float16 has 11 bits: it is exact
# up to 2048.
#
# By hand: 515 lies between 512 and 516, and becomes 516.
#
# Seen (Python 3.11, torch 2.15.0, torchvision 0.29.2, on a CPU):
#   anchors of a film of 1024 × 1024: torch.float32, under autocast torch.bfloat16
#   corners moved by up to 3 pixels; 47 % of them moved
#   sides changed by up to 4 pixels
#
# What helps: cast the feature maps to float32 before proposals, and run these outside of autocast.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-compile \
    torch==2.15.0 torchvision==0.29.2 numpy==2.4.6
"$folder/bin/python" -I - <<'PYTHON'
import sys

import torch
from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_fpn

torch.manual_seed(0)
network = fasterrcnn_mobilenet_v3_large_fpn(weights=None, weights_backbone=None, min_size=1024, max_size=1024).eval()
seen = []
network.rpn.anchor_generator.register_forward_hook(lambda module, inputs, anchors: seen.append(anchors[0]))
film = [torch.rand(3, 1024, 1024)]
with torch.no_grad():
    network(film)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        network(film)
exact, rounded = seen
moved = (exact - rounded.float()).abs()
sides = (rounded[:, 2:] - rounded[:, :2]).float() - (exact[:, 2:] - exact[:, :2])
share = round(100 * (moved > 0).float().mean().item())
print(f"anchors of a film of 1024 × 1024: {exact.dtype}, under autocast {rounded.dtype}")
print(f"corners moved by up to {moved.max():.0f} pixels; {share} % of them moved")
print(f"sides changed by up to {sides.abs().max():.0f} pixels")
found = (exact.dtype, rounded.dtype, moved.max().item(), share, sides.abs().max().item())
if found != (torch.float32, torch.bfloat16, 3.0, 47, 4.0):
    sys.exit("the behaviour changed")
PYTHON
