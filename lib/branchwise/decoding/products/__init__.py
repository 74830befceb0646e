"""How a CPU multiplies weight matrices by the few rows of a decoding step."""
