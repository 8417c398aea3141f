"""Sans-I/O machines of the conversation between nodes."""
