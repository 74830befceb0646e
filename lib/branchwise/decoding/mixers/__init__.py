"""Hidden states mixed between branches: what a mixer is, computes, and where in a model it stands."""
