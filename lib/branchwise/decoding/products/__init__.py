"""How a model multiplies on a CPU, and what of its layers is computed in one call."""
