"""One whole node, synchronous and deterministic: inputs and the time go in, effects come out."""
