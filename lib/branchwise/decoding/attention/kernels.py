"""Ways to compute the attention of a tree's step, with one result; the reader chooses by name."""

from branchwise.decoding.attention.cascade import Cascade
from branchwise.decoding.attention.dense import Dense
from branchwise.decoding.attention.flex import Flex
from branchwise.decoding.attention.fused import Fused
from branchwise.decoding.attention.kernel import Kernel
from branchwise.decoding.attention.mixed import Mixed

KERNELS: dict[str, type[Kernel]] = {
    kernel.name: kernel for kernel in (Dense, Cascade, Fused, Mixed, Flex)
}
"""`dense`: one mask; `cascade`: shared keys are read once; `fused`: so, in one compiled call; `mixed`:
`dense` or `cascade`, step by step; `flex`: FlexAttention."""
