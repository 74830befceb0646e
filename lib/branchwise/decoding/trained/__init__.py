"""What was trained: the folder that holds it, and a model with it."""
