"""`branchwise bench`: how fast the tree decoder is here."""

from branchwise.bench.command import bench
from branchwise.commands.main import command

command("bench")(bench)
