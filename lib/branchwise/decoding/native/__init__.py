"""Kernels in C for fp32 on a CPU, built by the machine's own compiler: `library` (building and keeping),
`rows` (matrix products, gated units), `project` (the inputs of attention), `norms`, `attend`.
"""
