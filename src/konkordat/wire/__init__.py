"""Messages between nodes and their encoding, with every limit."""
