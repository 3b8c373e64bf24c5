"""Figures of "INT v.s. FP" (arXiv:2510.25602) from the results of build/bin/int_vs_fp: one function per experiment.

Each function of FIGURES takes the lowbit_results.Result of its experiment and returns a matplotlib figure.
Published and independently computed values come from results/reference/int_vs_fp.<figure>.tsv and are hollow markers.
"""

import numpy as np

from . import int_vs_fp_synthetic as synthetic
from . import int_vs_fp_tensors as tensors
from . import style
from .int_vs_fp_common import KAPPA, PAIR_FORMATS, PAIRS, QSNR, crossing, references, texts
from .style import BLACK, BLUE, GREEN, GREY, ORANGE, PAGE, PURPLE, RED, hollow

PAIR_COLOURS = {"mx8": BLUE, "mx6": GREEN, "mx4": RED, "nv4": PURPLE}

# ---------------------------------------------------------------------------------------------------------------- fig3


def fig3(results):
    """Theory: QSNR against the crest factor, and where the pairs cross."""
    ds = results.dataset
    fig, axes = style.figure(1, 2, PAGE, 3.0, sharey=True)
    published = references("fig3")
    for pair, label in PAIRS.items():
        panel = axes[0, int(pair == "nv4")]
        integer, floating = (ds["qsnr"].sel(format=name) for name in PAIR_FORMATS[pair])
        colour = PAIR_COLOURS[pair]
        for curve, line, name in ((integer, "-", label.split(" / ")[0]), (floating, "--", label.split(" / ")[1])):
            panel.plot(curve["kappa"], curve, line, color=colour, label=name)
        kappa, qsnr = crossing(integer["kappa"].values, integer.values, floating.values)
        panel.plot(kappa, qsnr, "o", color=colour, markersize=4.5, zorder=4)
        panel.plot(published[f"crossover_kappa[pair={pair}]"]["value"], published[f"crossover_qsnr[pair={pair}]"]["value"], **hollow(BLACK, "D", 8), zorder=5)
        offset = {"mx8": (6, 6), "mx6": (8, 4), "mx4": (8, 5), "nv4": (8, -14)}[pair]
        panel.annotate(f"κ* = {kappa:.3f}", (kappa, qsnr), textcoords="offset points", xytext=offset, fontsize=7, color=colour)
    for panel, title in zip(axes[0], ("MX formats, E8M0 scale, ρ = %.2f", "NV formats, E4M3 scale, ρ = %.2f")):
        panel.set(xlabel=KAPPA, title=title % (1.5 if "MX" in title else 1.05), xlim=(1, 12))
        panel.plot([], [], "o", color=BLACK, markersize=4.5, label="crossover, ours")
        panel.plot([], [], **hollow(BLACK, "D", 8), label="crossover, paper")
        panel.legend(ncol=2, loc="upper right")
    axes[0, 0].set_ylabel(QSNR)
    return fig


# ------------------------------------------------------------------------------------------------------- fig3_measured

CASE_LABELS = {
    "theory": "theory, as plotted",
    "theory_rho": "theory, ρ rms 1.471 (NV: 1)",
    "theory_q": "theory, Q = 2$^{b-1}$−1",
    "theory_corrected": "theory, ρ, Q, E[1/r²] corrected",
    "A": "A: imposed κ",
    "A_mean_db": "A, dB averaged over ρ",
    "A_clipped_body": "A, rms of the clipped body",
    "A_rho_1.5": "A, ρ = 1.5",
    "B:gaussian": "B: blocks, Gaussian",
    "B:laplace": "B: blocks, Laplace",
    "B:t:dof=3": "B: blocks, t(3)",
    "B:row_outlier": "B: blocks, one outlier",
    "B:row_outlier:g64": "B: one outlier, g = 64",
    "B:row_outlier:g128": "B: one outlier, g = 128",
    "B:row_outlier:g256": "B: one outlier, g = 256",
    "B:row_outlier:g512": "B: one outlier, g = 512",
    "C:t": "C: tensors, Student t",
    "C:generalised_gaussian": "C: tensors, gen. Gaussian",
    "C:channel_scales": "C: tensors, channel scales",
}


def fig3_measured(results):
    """Measured curves and crossovers beside the theory's."""
    ds = results.dataset
    fig, axes = style.figure(2, 4, PAGE, 5.6, gridspec_kw={"height_ratios": (1, 1.25)})
    published = references("fig3")
    cases = [c for c in texts(ds["case"]) if c in CASE_LABELS]
    for column, pair in enumerate(PAIRS):
        measured_curves(axes[0, column], ds, pair)
        measured_crossovers(axes[1, column], ds, pair, cases, published[f"crossover_kappa[pair={pair}]"]["value"], column == 0)
    axes[0, 0].set_ylabel(QSNR)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    dots, names = axes[1, 0].get_legend_handles_labels()
    style.legend_below(fig, handles + dots, labels + names, 4)
    return fig


def measured_curves(panel, ds, pair):
    wide = pair == "mx8" and "B:row_outlier:g256" in texts(ds["case"])
    case = "B:row_outlier:g256" if wide else "B:row_outlier"
    for name, line, width in (("theory", "--", 0.9), (case, "-", 1.3)):
        if name not in texts(ds["case"]):
            continue
        point = ds.sel(case=name, pair=pair)
        kappa = point["kappa"].values
        for kind, colour in (("int", RED), ("fp", BLUE)):
            curve = point[f"{kind}_qsnr"].values
            keep = np.isfinite(curve) & (kappa <= (12 if wide else 5.7))
            label = f"{kind.upper()}, {'theory' if name == 'theory' else 'measured (B, one outlier per block)'}"
            panel.plot(kappa[keep], curve[keep], line, color=colour, linewidth=width, label=label)
    panel.set(title=PAIRS[pair] + (", g = 256" if wide else ""), xlabel=KAPPA)


def measured_crossovers(panel, ds, pair, cases, published, labelled):
    for y, case in enumerate(cases):
        point = ds.sel(case=case, pair=pair)
        value, low, high = (float(point[name]) for name in ("crossover", "crossover_low", "crossover_high"))
        colour = {"t": BLACK, "A": ORANGE, "B": BLUE, "C": GREEN}[case[0]]
        if np.isfinite(value):
            panel.plot(value, y, "o", color=colour, label="crossover, ours (95 % interval)" if case == "theory" else None)
            panel.plot([low, high], [y, y], "-", color=colour, linewidth=2)
        elif np.isfinite(float(point["sign_changes"])):
            panel.text(published, y, "none", fontsize=7, color=GREY, ha="center", va="center", bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})
    panel.axvline(published, color=BLACK, linewidth=0.6, linestyle=":")
    panel.plot(published, -1, **hollow(BLACK), label="paper's Fig. 3", clip_on=False)
    panel.set(xlabel="crossover κ*", ylim=(len(cases) - 0.4, -1.6))
    panel.set_yticks(range(len(cases)), [CASE_LABELS[c] for c in cases] if labelled else [])
    panel.set_xlim({"mx8": (7.2, 8.4), "mx6": (1.8, 2.2), "mx4": (1.5, 2.3), "nv4": (2.05, 2.6)}[pair])


FIGURES = {
    "fig3": fig3,
    "fig3_measured": fig3_measured,
    "fig4": tensors.fig4,
    "fig4_layers": tensors.fig4_layers,
    "fig4_weights": tensors.fig4,
    "table2": tensors.table2,
    "kl": tensors.kl,
    "gaussian": synthetic.gaussian,
    "gaussian_crest": synthetic.gaussian_crest,
    "scale_rules": synthetic.scale_rules,
    "families": synthetic.families,
    "granularity": synthetic.granularity,
    "clipping": synthetic.clipping,
    "algorithm1": synthetic.algorithm1,
    "hardware": synthetic.hardware,
}
