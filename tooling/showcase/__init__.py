"""The example that ships with the repository: a small language model and synthetic visits to train it on."""
