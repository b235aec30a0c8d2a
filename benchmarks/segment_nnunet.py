"""nnU-Net v2 on given cases within given minutes; run by the Python that has it: `python segment_nnunet.py job.json`.

The job names `train` ([image, label] pairs), `test` ([name, image] pairs), `labels`, `work`, `out` and `minutes`. All
training cases train (fold "all"); plans, preprocessing and trainer are nnU-Net's own. Only the schedule is shortened:
20 epochs of as many iterations as fit into what is left of the minutes, by the time of a few iterations.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

EPOCHS, TRIAL, ROOM = 20, 4, 0.93
"""Epochs; iterations that are timed; share of the time left that is planned, since validation takes some."""


def main(job: dict) -> None:
    started = time.monotonic()
    work = Path(job["work"])
    for name in ("raw", "preprocessed", "results"):
        os.environ[f"nnUNet_{name}"] = str(work / name)
    os.environ["nnUNet_n_proc_DA"] = "1"  # noqa: SIM112 - nnU-Net spells it so
    raw = work / "raw" / "Dataset001_Bench"
    for folder in ("imagesTr", "labelsTr"):
        (raw / folder).mkdir(parents=True, exist_ok=True)
    for number, (image, label) in enumerate(job["train"]):
        (raw / "imagesTr" / f"case{number:04d}_0000.nii.gz").symlink_to(image)
        (raw / "labelsTr" / f"case{number:04d}.nii.gz").symlink_to(label)
    about = {"channel_names": {"0": "MRI"}, "labels": {"background": 0, **job["labels"]}, "file_ending": ".nii.gz"}
    (raw / "dataset.json").write_text(json.dumps({**about, "numTraining": len(job["train"])}))

    import torch
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments, preprocess
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    torch.set_num_threads(os.cpu_count() or 1)
    extract_fingerprints([1], num_processes=2, check_dataset_integrity=False)
    plans_name = plan_experiments([1])
    preprocess([1], plans_name, configurations=("3d_fullres",), num_processes=(2,))
    ready = work / "preprocessed" / "Dataset001_Bench"
    plans = json.loads((ready / f"{plans_name}.json").read_text())

    def trainer(epochs: int, iterations: int) -> nnUNetTrainer:
        own = {**plans, "continue_training": False}  # as its run_training does since 2.8; the trainer takes it out
        made = nnUNetTrainer(own, "3d_fullres", "all", about, device=torch.device("cpu"))
        made.num_epochs, made.num_iterations_per_epoch, made.num_val_iterations_per_epoch = epochs, iterations, 1
        made.save_every = epochs + 1
        return made

    trial = trainer(1, TRIAL)
    trial.initialize()
    trial.on_train_start()
    trial.on_epoch_start()
    trial.on_train_epoch_start()
    trial.train_step(next(trial.dataloader_train))
    before = time.monotonic()
    for _ in range(TRIAL):
        trial.train_step(next(trial.dataloader_train))
    seconds = (time.monotonic() - before) / TRIAL
    del trial
    left = 60 * job["minutes"] - (time.monotonic() - started)
    iterations = max(1, int(ROOM * left / seconds / (EPOCHS + 1)))
    real = trainer(EPOCHS, iterations)
    real.run_training()
    trained = time.monotonic() - started

    predictor = nnUNetPredictor(use_mirroring=True, device=torch.device("cpu"), verbose=False, allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(
        str(work / "results" / "Dataset001_Bench" / f"nnUNetTrainer__{plans_name}__3d_fullres"),
        ("all",),
        "checkpoint_final.pth",
    )
    out = Path(job["out"])
    out.mkdir(parents=True, exist_ok=True)
    images = [[image] for _, image in job["test"]]
    names = [str(out / name) for name, _ in job["test"]]
    predictor.predict_from_files(images, names, num_processes_preprocessing=1, num_processes_segmentation_export=1)
    told = {"epochs": EPOCHS, "iterations": iterations, "seconds a step": seconds, "trained [s]": trained}
    configuration = plans["configurations"]["3d_fullres"]
    told |= {"patch": configuration["patch_size"], "batch": configuration["batch_size"]}
    (out / "about.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
