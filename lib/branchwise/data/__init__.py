"""What is asked: groups of questions about one context, from worlds, files and hubs."""
