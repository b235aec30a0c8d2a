"""Shared by all systems that mark findings with boxes: detections on disk, their evaluation, comparison and section."""
