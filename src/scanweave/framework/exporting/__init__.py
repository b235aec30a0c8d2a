"""Networks as files that other programs run: ONNX, checked against the run that they come from."""
