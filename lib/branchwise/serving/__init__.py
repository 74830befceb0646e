"""Models that somebody else serves: one request and all that can go wrong with it. Torch-free."""
