"""Running the benchmarks, and the picture of their results."""
