"""The image side of a fitted MG-3D as it goes into a file; see `framework.reported.export`."""

from scanweave.framework.reported.export import graph_of

__all__ = ["graph_of"]
