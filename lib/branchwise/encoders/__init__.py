"""Encoders: what reads whole texts at once, for grouping by similarity and for finding dependencies."""
