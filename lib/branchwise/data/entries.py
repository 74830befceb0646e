"""Catalogue entries of data sets: made worlds, and everything that is read."""

from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from branchwise.data.sources import SOURCES
from branchwise.data.sources.base import FileDataset
from branchwise.data.worlds.dataset import WorldsDataset

if TYPE_CHECKING:
    DatasetEntry = WorldsDataset | FileDataset
else:
    # The types of read sets are found when the library starts.
    DatasetEntry = Annotated[Union[WorldsDataset, *SOURCES.values()], Field(discriminator="source")]
