"""How good it is: metrics, and what can be said of their differences. Imports no torch."""
