"""Which question needs which: found by rules, by a language model or by an encoder; then chosen from."""
