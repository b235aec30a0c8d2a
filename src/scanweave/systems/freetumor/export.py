"""The network of a fitted FreeTumor as it goes into a file; see `framework.segmentation.export`."""

from scanweave.framework.segmentation.export import graph_of

__all__ = ["graph_of"]
