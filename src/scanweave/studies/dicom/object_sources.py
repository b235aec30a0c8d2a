"""Sources of DICOM objects: the images that a study was made of, under the drawn names that its objects carry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from scanweave.errors import ScanweaveError
from scanweave.studies.dicom.identities import Identities, OriginalScan
from scanweave.studies.geometry import Geometry

MR = "1.2.840.10008.5.1.4.1.1.4"
"""SOP class of sources that tell none."""


class Source(NamedTuple):
    """An image, or a frame of one, that an object was made of.

    Attributes:
        sop_class: Of the image.
        uid: Drawn UID of the image.
        frame: Number of the frame, from 1; None: all of it.
    """

    sop_class: str
    uid: str
    frame: int | None = None


class Origin:
    """The sources of a study under the names and UIDs that its objects carry.

    Args:
        study: Its name.
        known: The private file.
    """

    def __init__(self, study: str, known: Identities) -> None:
        self.study, self.known = study, known
        held = known.studies[study]
        self.patient, self.scans = held.patient, held.scans
        self.uid = known.drawn(held.identity.get("StudyInstanceUID", study))

    def on_grid(self, grid: Geometry) -> OriginalScan | None:
        """Return the first source on a grid; None: there is none."""
        for about in self.scans.values():
            if about.affine and Geometry.of(about.shape, about.affine).matches(grid):
                return about
        return None

    def frame_of_reference(self, grid: Geometry) -> str:
        """Return the drawn UID of the space of a grid: that of the source on it, else the one that all sources share.

        Raises:
            ScanweaveError: None tells one, or they do not share it.
        """
        own = self.on_grid(grid)
        if own is not None and own.frame_of_reference:
            return self.known.drawn(own.frame_of_reference)
        told = {one.frame_of_reference for one in self.scans.values() if one.frame_of_reference}
        if len(told) != 1:
            reason = "its sources lie in several spaces" if told else "none of its sources tells its frame of reference"
            raise ScanweaveError(self.study, reason, "Leave out --dicom")
        return self.known.drawn(told.pop())

    def sources(self, names: Sequence[str], grid: Geometry, place: int) -> Iterator[Source]:
        """Yield the source images of a plane: of sources on the same grid that is the same plane, of others all.

        Args:
            names: Of the scans that it was made of.
            grid: Of the scan that is made.
            place: Of the plane.
        """
        for about in (self.scans[name] for name in names):
            alike = bool(about.affine) and Geometry.of(about.shape, about.affine).matches(grid)
            planes = self.planes(about)
            if alike and len(planes) == grid.shape[2]:
                yield planes[place]
            else:
                yield from (Source(about.sop_class or MR, self.known.drawn(uid)) for uid in about.instances)

    def planes(self, about: OriginalScan) -> list[Source]:
        """Return the image, or the frame, that holds each plane of a source; none where that is not known."""
        sop_class, drawn = about.sop_class or MR, self.known.drawn
        if about.frames and len(about.instances) == 1:
            return [Source(sop_class, drawn(about.instances[0]), number) for number in about.frames]
        if about.shape and len(about.instances) == about.shape[2]:
            return [Source(sop_class, drawn(uid)) for uid in about.instances]
        return []
