"""`python -m branchwise` is the command `branchwise`."""

from branchwise.commands.main import run

run()
