"""Where an experiment stands: what is done, runs, has failed, is missing or stale. Torch-free."""
