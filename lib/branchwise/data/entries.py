"""Catalogue entries of data sets: made worlds, and everything that is read."""

from typing import Annotated, Union

from pydantic import Field

from branchwise.data.sources import SOURCES
from branchwise.data.worlds.dataset import WorldsDataset

DatasetEntry = Annotated[
    Union[WorldsDataset, *SOURCES.values()],
    Field(discriminator="source"),
]
