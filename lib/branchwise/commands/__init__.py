"""The entry scripts: one command a stage, each usable by hand."""
