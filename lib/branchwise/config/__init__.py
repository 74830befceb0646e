"""The typed configuration. Imports nothing heavy: the Snakefile reads it on every parse."""

from branchwise.config.load import load_experiment
from branchwise.config.types import Cell, Experiment

__all__ = ["Cell", "Experiment", "load_experiment"]
