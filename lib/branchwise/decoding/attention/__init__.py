"""How a step's attention over the tree is computed: kernels with one result, and what a step knows."""
