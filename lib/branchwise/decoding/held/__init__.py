"""What is held between steps: the token tree, its slots in the cache, keys and values, positions."""
