"""Generators of dependencies, one module each: `generator(entry, source)` gives what finds the edges of a
group. Which one an entry takes stands in `generator` of its type.
"""
