"""What users would pick instead of the tree decoder, on the same work: each in a process of its own."""
