#!/usr/bin/env bash
# nnunetv2 2.8.1: a trainer refuses the plans that nnU-Net's own planner wrote, and takes a key out of those it accepts.
#
# Whoever drives nnU-Net from Python (for a shortened schedule, an ablation, a benchmark) reads nnUNetPlans.json and hands
# it to nnUNetTrainer(plans, configuration, fold, dataset_json). Since 2.8 the constructor takes "continue_training" out
# of these plans. No planner writes that key: nnUNetv2_train puts it in just before. So plans from the file raise
# KeyError, and plans with the key serve one trainer only: it is popped from the caller's own dictionary, and a second
# trainer of the same plans raises the KeyError again.
#
# Seen (Python 3.11, torch 2.15.0):
#   plans as nnUNetPlans.json has them: KeyError 'continue_training'
#   with "continue_training": False: a trainer; the key is gone from the caller's plans
#   a second trainer of the same plans: KeyError 'continue_training'
#
# What helps: give every trainer a fresh {**plans, "continue_training": False}.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-compile \
    nnunetv2==2.8.1 torch==2.15.0 nibabel==5.4.2 numpy==2.4.6
cd "$folder"
mkdir raw preprocessed results
export nnUNet_raw=$folder/raw nnUNet_preprocessed=$folder/preprocessed nnUNet_results=$folder/results
cat > made.py <<'PYTHON'
import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np

DATASET = Path("raw/Dataset001_Made")
ABOUT = {"channel_names": {"0": "MRI"}, "labels": {"background": 0, "cube": 1}, "file_ending": ".nii.gz"}


def make_dataset() -> None:
    chance = np.random.default_rng(0)
    for part in ("imagesTr", "labelsTr"):
        (DATASET / part).mkdir(parents=True)
    for case in range(2):
        image = chance.normal(100, 10, (40, 40, 40)).astype(np.float32)
        label = np.zeros(image.shape, np.uint8)
        label[10:30, 10:30, 10:30] = 1
        nib.save(nib.Nifti1Image(image + 50 * label, np.eye(4)), DATASET / "imagesTr" / f"case{case}_0000.nii.gz")
        nib.save(nib.Nifti1Image(label, np.eye(4)), DATASET / "labelsTr" / f"case{case}.nii.gz")
    (DATASET / "dataset.json").write_text(json.dumps({**ABOUT, "numTraining": 2}))


def main() -> None:
    make_dataset()
    import torch
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    extract_fingerprints([1], num_processes=1, check_dataset_integrity=False)
    name = plan_experiments([1])
    plans = json.loads(Path(f"preprocessed/Dataset001_Made/{name}.json").read_text())

    def trainer(given: dict) -> str:
        try:
            nnUNetTrainer(given, "3d_fullres", "all", ABOUT, device=torch.device("cpu"))
        except KeyError as error:
            return f"KeyError {error}"
        return "a trainer"

    seen = trainer(dict(plans))
    print("plans as nnUNetPlans.json has them:", seen)
    as_seen = [seen == "KeyError 'continue_training'"]

    given = {**plans, "continue_training": False}
    seen, gone = trainer(given), "continue_training" not in given
    print(f'with "continue_training": False: {seen}; the key is {"gone from" if gone else "still in"} the caller\'s plans')
    as_seen += [seen == "a trainer", gone]

    seen = trainer(given)
    print("a second trainer of the same plans:", seen)
    as_seen.append(seen == "KeyError 'continue_training'")
    if not all(as_seen):
        sys.exit("the behaviour changed")


if __name__ == "__main__":  # nnU-Net's workers import this file
    main()
PYTHON
bin/python made.py
