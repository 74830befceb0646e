"""A cell run from groups to answers: the desk, the clock, the journal, the provenance."""
