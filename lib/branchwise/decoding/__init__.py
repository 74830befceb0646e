"""How tokens are made: the tree decoder, and the reference decoders beside it."""
