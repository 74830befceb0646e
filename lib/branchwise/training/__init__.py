"""What is learned. So far: the tiny model that ships with the repository."""
