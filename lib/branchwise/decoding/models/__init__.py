"""What a decoder has to know of a model: its stops and reach, its chat template, whether it fits."""
