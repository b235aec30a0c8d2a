"""Choices of a fit that outlines structures: masks, structures, network; each kept in the run and told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from scanweave.engine.saved_encoder import SavedEncoder, chosen_encoder
from scanweave.engine.settings import chosen_names
from scanweave.errors import ScanweaveError
from scanweave.framework.cohort_fit import CohortFit
from scanweave.framework.scan_preparation import PreparedParts
from scanweave.framework.segmentation.planning import FILE, NetworkPlan, are_slices, plan_network
from scanweave.framework.segmentation.settings import SegmentationConfig
from scanweave.framework.segmentation.target import FILE as TARGET_FILE
from scanweave.framework.segmentation.target import SegmentationTarget, learn_target
from scanweave.studies.cohort import Cohort
from scanweave.studies.mask_targets import one_hot_channels, structures_of

C = TypeVar("C", bound=SegmentationConfig)


def chosen_masks(cohort: Cohort, config: SegmentationConfig) -> list[str]:
    """Return the masks to learn: those that are asked for, else the only one of the cohort.

    Raises:
        ScanweaveError: There is none, or several and none is named.
    """
    there = cohort.names("mask")
    named = chosen_names(config.mask, there, "mask")
    if not named and len(there) != 1:
        words = "has no mask" if not there else f"has several masks ({', '.join(there)})"
        raise ScanweaveError(cohort.folder, words, "Name one or more by --mask")
    return named or there


def learnt_target(fit: CohortFit[C], cohort: Cohort, parts: PreparedParts) -> SegmentationTarget:
    """Return the structures of the run, found in the training studies."""
    masks = list(parts.plan.masks)

    def learn() -> SegmentationTarget:
        return learn_target(structures_of(cohort, masks), parts.training, one_hot_channels(cohort, masks))

    return fit.plan(SegmentationTarget.load, learn, TARGET_FILE)


def planned_network(fit: CohortFit[C], parts: PreparedParts) -> NetworkPlan:
    """Return the network of the run, planned from the training studies."""

    def learn() -> NetworkPlan:
        shapes = [study.shape for study in parts.training]
        spacing = parts.plan.spacing or parts.training[0].frame.working.spacing
        config = fit.config
        encoder = _encoder(config, shapes)
        return plan_network(
            shapes, spacing, config.network, config.sampling.mirror, config.preparation.orientation, encoder
        )

    return fit.plan(NetworkPlan.load, learn, FILE)


def _encoder(config: SegmentationConfig, shapes: Sequence[Sequence[int]]) -> SavedEncoder | None:
    """Return the encoder of the run that the fit begins from, or one by name; None: it is planned."""
    name = config.network.encoder
    chosen = chosen_encoder(config.start, name, ("plain",))
    if chosen is not None or name == "plain":
        return chosen
    flat = config.network.dimensions == 2 or (config.network.dimensions == "auto" and are_slices(shapes))
    return SavedEncoder(name=name, options={}, dimensions=2 if flat else 3, axes="XYZ")
