"""What a sentence and a label are, and where they come from."""
