"""Three ways to compute the attention of a tree's step, with one result; the reader chooses by name."""

from branchwise.decoding.attention.cascade import Cascade
from branchwise.decoding.attention.dense import Dense
from branchwise.decoding.attention.flex import Flex
from branchwise.decoding.attention.kernel import Kernel

KERNELS: dict[str, type[Kernel]] = {kernel.name: kernel for kernel in (Dense, Cascade, Flex)}
"""`dense`: one mask; `cascade`: shared keys are read once; `flex`: FlexAttention."""
