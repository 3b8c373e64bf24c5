"""Runs the experiments, draws their figures and writes one report: what `scripts/reproduce` does after the build."""
