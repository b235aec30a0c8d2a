"""Findings as a structured report: a text each, in a container."""

from __future__ import annotations

from typing import Any

from scanweave.external import require
from scanweave.studies.dicom.object_parts import GROUP, WORDS, code, common_parts, new_item, sequence
from scanweave.studies.dicom.object_sources import MR, Origin
from scanweave.studies.study import Study

ENHANCED_SR = "1.2.840.10008.5.1.4.1.1.88.22"


def report_object(study: Study, origin: Origin, number: int) -> Any:
    """Return labels and probabilities of a study as a structured report: a text each, in a container.

    Args:
        study: What was told.
        origin: Its sources.
        number: Of the series.
    """
    uids = require("pydicom.uid", GROUP)
    made = common_parts(origin, ENHANCED_SR, uids.generate_uid(), number, f"{WORDS}: findings")
    made.Modality, made.InstanceNumber = "SR", 1
    made.ReferencedPerformedProcedureStepSequence = sequence([])
    made.ValueType, made.ContinuityOfContent = "CONTAINER", "SEPARATE"
    made.CompletionFlag, made.VerificationFlag = "COMPLETE", "UNVERIFIED"
    made.ConceptNameCodeSequence = sequence([code("126000", "DCM", "Imaging Measurement Report")])
    made.PerformedProcedureCodeSequence = sequence([])
    made.CurrentRequestedProcedureEvidenceSequence = sequence([_evidence(origin)])
    lines = [f"{name}: {value}" for name, value in study.labels.items()]
    lines += [f"{name.replace('_', ' ')}: {value}" for name, value in study.table.items()]
    items = []
    for line in [WORDS, *lines]:
        item = new_item()
        item.RelationshipType, item.ValueType = "CONTAINS", "TEXT"
        item.ConceptNameCodeSequence = sequence([code("121071", "DCM", "Finding")])
        item.TextValue = line
        items.append(item)
    made.ContentSequence = sequence(items)
    return made


def _evidence(origin: Origin) -> Any:
    """Return the images that a report speaks of."""
    study = new_item()
    study.StudyInstanceUID, several = origin.uid, []
    for about in origin.scans.values():
        series = new_item()
        series.SeriesInstanceUID, instances = origin.known.drawn(about.series), []
        for uid in about.instances:
            one = new_item()
            one.ReferencedSOPClassUID = about.sop_class or MR
            one.ReferencedSOPInstanceUID = origin.known.drawn(uid)
            instances.append(one)
        series.ReferencedSOPSequence = sequence(instances)
        several.append(series)
    study.ReferencedSeriesSequence = sequence(several)
    return study
