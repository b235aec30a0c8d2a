"""Networks that outline structures: planned by nnU-Net's rules, trained on patches, run over whole studies."""
