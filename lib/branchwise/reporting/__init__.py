"""What a reader sees: tables and figures, from scores alone. Imports no torch."""

TABLES = ("accuracy", "cost", "differences", "kinds", "further")
FIGURES = ("accuracy", "accuracy_by_size", "latency_by_size", "quality_latency", "tokens")
"""Names of what an experiment yields; the workflow plans its outputs from them."""
