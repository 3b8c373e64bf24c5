"""Figures of @SLUG@: one function per figure, dataset in, matplotlib figure out."""
import matplotlib.pyplot as plt


def rounding(result):
    """Mean squared error against the number of bits."""
    figure, axes = plt.subplots(figsize=(3.4, 2.6))
    mse = result["mse"].sel(shape="uniform")
    axes.semilogy(mse["bits"], mse, marker="o")
    axes.set_xlabel("bits")
    axes.set_ylabel(result["mse"].attrs["long_name"])
    return figure
