"""Results of an experiment as one archive: what figures are drawn from, with checksums. Torch-free."""
