"""Other words for a question, made by a model, and how sure a model is of its answer to each."""
