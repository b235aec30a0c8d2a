"""Signal equations of magnetic resonance imaging."""
