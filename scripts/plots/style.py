"""The look that all figures share: sizes, fonts, colours, markers, and files that are the same bytes for the same data."""

import pathlib

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend comes first)
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: E402

# widths in inches: one column, the full page
COLUMN, PAGE = 3.4, 7.0

# Okabe and Ito (2008): distinguishable with every common kind of colour blindness
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, RED, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY = "#7F7F7F"
COLOURS = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY, BLACK, GREY)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h")

RC = {
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.linewidth": 0.4,
    "grid.color": "#DDDDDD",
    "axes.axisbelow": True,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "lowbit",
    "savefig.dpi": 300,
}
plt.rcParams.update(RC)


def hollow(colour=BLACK, marker="D", size=5):
    """Keywords of a published value: a hollow marker without line."""
    return {"marker": marker, "markersize": size, "markerfacecolor": "none", "markeredgecolor": colour, "markeredgewidth": 0.9, "linestyle": "none"}


def figure(rows=1, columns=1, width=PAGE, height=2.6, **keywords):
    """A figure of `width` x `height` inches and its axes, always as a 2-D array."""
    return plt.subplots(rows, columns, figsize=(width, height), squeeze=False, **keywords)


def log_numbers(panel, name):
    """Makes "x" or "y" a logarithmic axis that names 1, 2 and 5 of each decade as plain numbers, also within one decade."""
    panel.set(**{f"{name}scale": "log"})
    axis = panel.xaxis if name == "x" else panel.yaxis
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def legend_below(fig, handles, labels, columns):
    """One legend for all panels, under them; the layout leaves room for its lines."""
    lines = -(-len(labels) // columns)
    share = (0.165 * lines + 0.1) / fig.get_size_inches()[1]
    fig.get_layout_engine().set(rect=(0, share, 1, 1 - share))
    fig.legend(handles, labels, loc="lower center", ncol=columns, bbox_to_anchor=(0.5, 0), borderaxespad=0.3)


def legend_under(panel, columns=2):
    """A panel's own legend, under its axis: where curves fill the panel."""
    panel.legend(fontsize=6, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncol=columns, borderaxespad=0)


def empty_panel(axes, text):
    """A panel whose data do not exist yet: a frame and the reason."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_linestyle((0, (4, 3)))
        spine.set_color(GREY)
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)


def save(fig, stem):
    """Writes STEM.png, .svg and .pdf without dates; returns the paths."""
    stem = pathlib.Path(stem)
    stem.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"png": {"Software": "lowbit"}, "svg": {"Date": None, "Creator": "lowbit"}, "pdf": {"CreationDate": None, "Creator": "lowbit", "Producer": "lowbit"}}
    paths = []
    for suffix, values in metadata.items():
        path = stem.with_name(f"{stem.name}.{suffix}")
        fig.savefig(path, metadata=values)
        paths.append(path)
    plt.close(fig)
    return paths
