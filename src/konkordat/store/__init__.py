"""Where a node keeps its data: the port, and the stores that fulfil it."""
