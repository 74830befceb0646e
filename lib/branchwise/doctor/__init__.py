"""What can be used on this machine, and what an experiment will need of it; a module a kind of check."""
