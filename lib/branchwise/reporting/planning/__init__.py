"""What an experiment will take, before anything is run: tokens, hours and money, cell by cell."""
