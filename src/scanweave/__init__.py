"""scanweave: learn from incomplete, many-view medical imaging studies."""

__version__ = "0.1.0"
