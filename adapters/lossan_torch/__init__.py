"""The PyTorch adapter of lossan."""
