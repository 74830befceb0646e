"""How fast the tree decoder is, beside every baseline that a reader would use, and beside the floor."""
