"""Figures of int_vs_fp on synthetic data, formats' arithmetic and hardware; see int_vs_fp.py."""

import numpy as np

from . import style
from .int_vs_fp_common import KAPPA, PAIR_FORMATS, PAIRS, QSNR, references, split_quantity, texts
from .style import BLACK, BLUE, GREEN, GREY, MARKERS, ORANGE, PAGE, PURPLE, RED, SKY, hollow

ELEMENT_STYLE = {
    "int8": (BLUE, "o", "-"), "int6": (GREEN, "s", "-"), "int4": (RED, "^", "-"), "int3": (PURPLE, "D", "-"), "int2": (ORANGE, "v", "-"),
    "e4m3": (BLUE, "P", "--"), "e5m2": (SKY, "X", "--"), "e2m3": (GREEN, "<", "--"), "e3m2": (GREY, ">", "--"), "e2m1": (RED, "h", "--"), "e3m4": (BLACK, "*", "--"),
}
SCALE_TITLES = {"ceil": "E8M0, rounded up", "floor": "E8M0, OCP floor", "fp32": "scale not quantised", "e4m3": "E4M3 + tensor scale"}


def gaussian(results):
    """QSNR on Gaussian data by element, scale and group."""
    ds = results.dataset
    fig, axes = style.figure(1, 4, PAGE, 3.6, sharey=True)
    published = references("gaussian")
    group = ds["group"].values
    for panel, scale in zip(axes[0], ("ceil", "floor", "fp32", "e4m3")):
        for element, (colour, marker, line) in ELEMENT_STYLE.items():
            if scale not in texts(ds["scale"]) or element not in texts(ds["element"]):
                continue
            panel.plot(group, ds["qsnr"].sel(element=element, scale=scale), line, color=colour, marker=marker, markersize=3, linewidth=0.9, label=element)
            for quantity, row in published.items():
                where = split_quantity(quantity)[1]
                if where.get("element") == element and where.get("scale") == scale:
                    panel.plot(int(where["group"]), row["value"], **hollow(colour, "o", 6))
        panel.set_xscale("log", base=2)
        panel.set_xticks([16, 64, 256, 4096], ["16", "64", "256", "4096"])
        panel.set(title=SCALE_TITLES[scale], xlabel="values per scale")
    axes[0, 0].set_ylabel(QSNR)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    handles.append(axes[0, 0].plot([], [], **hollow(GREY, "o", 6))[0])
    style.legend_below(fig, handles, labels + ["independent simulation"], 6)
    return fig


def gaussian_crest(results):
    """Crest factors of Gaussian blocks."""
    ds = results.dataset
    fig, axes = style.figure(1, 1, style.COLUMN, 2.8)
    panel = axes[0, 0]
    group = ds["group"].values
    value = {s: ds["kappa"].sel(statistic=s) for s in texts(ds["statistic"])}
    panel.fill_between(group, value["q1"], value["q3"], color=SKY, alpha=0.35, linewidth=0, label="quartiles")
    panel.plot(group, value["mean"], "o-", color=BLUE, label="mean, ours")
    panel.plot(group, np.sqrt(group), ":", color=GREY, label="bound √g")
    for quantity, row in references("gaussian_crest").items():
        where = split_quantity(quantity)[1]
        if where["statistic"] in ("mean", "q1", "q3"):
            panel.plot(int(where["group"]), row["value"], **hollow(BLACK, "D" if where["statistic"] == "mean" else "_", 6))
    panel.plot([], [], **hollow(BLACK, "D", 6), label="independent simulation")
    panel.set_xscale("log", base=2)
    panel.set_xticks([8, 16, 32, 64, 128, 256, 512, 1024, 4096], ["8", "16", "32", "64", "128", "256", "512", "1024", "4096"], rotation=45)
    panel.set(xlabel="values per block", ylabel=KAPPA, ylim=(1.5, 4.2))
    panel.legend(loc="lower right")
    return fig


RULE_COLOURS = {"ceil": BLUE, "floor": RED, "ceil_pow2": ORANGE, "even": PURPLE, "bf16": GREEN, "fp32": BLACK, "amax": BLUE}


def scale_rules(results):
    """QSNR over the octave of sigma by scale rule; integer solid, float dashed."""
    ds = results.dataset
    fig, axes = style.figure(1, 4, PAGE, 3.2)
    published = references("scale_rules")
    data = ds.sel(data="fp32")
    for panel, (pair, formats) in zip(axes[0], PAIR_FORMATS.items()):
        for name, line in zip(formats, ("-", "--")):
            for rule in texts(ds["rule"]):
                curve = data["qsnr"].sel(format=name, rule=rule)
                if not np.isfinite(curve).any():
                    continue
                panel.plot(ds["octave"], curve, line, color=RULE_COLOURS[rule], linewidth=1)
                row = published.get(f"qsnr[format={name},rule={rule},sigma=phase_averaged]")
                if row:
                    panel.plot(1.06, row["value"], **hollow(RULE_COLOURS[rule], "o" if line == "-" else "s", 5))
                row = published.get(f"qsnr[format={name},rule={rule},sigma=1]")
                if row:
                    panel.plot(0, row["value"], **hollow(RULE_COLOURS[rule], "o" if line == "-" else "s", 5))
        panel.set(title=PAIRS[pair], xlabel="log₂ σ", xlim=(-0.05, 1.14))
    axes[0, 0].set_ylabel(QSNR)
    handles = [axes[0, 0].plot([], [], "-", color=RULE_COLOURS[r])[0] for r in ("ceil", "floor", "ceil_pow2", "even", "bf16", "fp32")]
    labels = ["ceil (NV: own)", "floor (OCP)", "ceil of amax", "even", "BF16 scale", "exact scale"]
    handles += [axes[0, 0].plot([], [], line, color=GREY)[0] for line in ("-", "--")]
    handles.append(axes[0, 0].plot([], [], **hollow(GREY, "o", 5))[0])
    style.legend_below(fig, handles, labels + ["integer", "float", "independent (σ = 1; right edge: octave mean)"], 5)
    return fig


FAMILY_STYLE = {"t": (BLUE, "o", "Student t"), "generalised_gaussian": (GREEN, "s", "gen. Gaussian"), "channel_scales": (PURPLE, "^", "channel scales"),
                "outlier_channels": (ORANGE, "D", "22 channels × 20"), "gaussian": (BLACK, "P", "Gaussian"), "laplace": (SKY, "v", "Laplace"), "uniform": (GREY, "X", "uniform")}


def families(results):
    """INT - FP in dB against the crest factor for families of tensors, before and after rotation."""
    ds = results.dataset
    fig, axes = style.figure(2, 4, PAGE, 4.6, sharex="col", sharey="col")
    fig4, table2 = references("fig4"), references("table2")
    for row, transform in enumerate(("id", "rhad")):
        for panel, (pair, (integer, floating)) in zip(axes[row], PAIR_FORMATS.items()):
            group = 16 if pair == "nv4" else 32
            for source in texts(ds["source"]):
                colour, marker, label = FAMILY_STYLE[source.split(":")[0]]
                point = ds.sel(source=source, transform=transform)
                difference = float((point["qsnr"].sel(format=integer) - point["qsnr"].sel(format=floating)).mean())
                panel.plot(float(point[f"kappa{group}"].mean()), difference, marker, color=colour, markersize=3.5, label=label)
            paper = [fig4[f"{kind}_qsnr_mean[pair={pair},transform={transform}]"]["value"] for kind in ("int", "fp")]
            median = table2[f"kappa[transform={transform},group={group},statistic=median]"]["value"]
            panel.plot(median, paper[0] - paper[1], **hollow(BLACK, "D", 7), label="paper: mean difference at median κ")
            panel.axhline(0, color=BLACK, linewidth=0.6)
            if row == 0:
                panel.set_title(PAIRS[pair])
            else:
                panel.set_xlabel(f"{KAPPA} (g = {group})")
        axes[row, 0].set_ylabel(f"INT − FP (dB){', rotated' if row else ''}")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    unique = dict(zip(labels, handles))
    style.legend_below(fig, list(unique.values()), list(unique.keys()), 4)
    return fig


def granularity(results):
    """INT - FP against the crest factor by group size and scale."""
    ds = results.dataset
    fig, axes = style.figure(2, 2, PAGE, 4.4, sharex=True, sharey="row")
    published = references("granularity")
    for row, (integer, floating, name) in enumerate((("int8", "e4m3", "INT8 − FP8"), ("int4", "e2m1", "INT4 − FP4"))):
        for column, scale in enumerate(("e8m0", "fp32")):
            panel = axes[row, column]
            for group, colour, marker in zip(ds["group"].values, (BLUE, GREEN, RED, PURPLE), MARKERS):
                point = ds.sel(scale=scale, group=group)
                kappa = point["kappa"].mean("tensor").values
                difference = (point["qsnr"].sel(element=integer) - point["qsnr"].sel(element=floating)).mean("tensor").values
                panel.plot(kappa, difference, marker, color=colour, markersize=3.5, label=f"g = {group}")
            panel.axhline(0, color=BLACK, linewidth=0.6)
            for quantity, reference in published.items():
                kind, where = split_quantity(quantity)
                if kind == "crossover" and row == 0 and where["scale"] == scale:
                    panel.plot(reference["value"], 0, **hollow(BLACK, "D", 6))
            panel.set_xscale("log")
            panel.set_xticks([2, 3, 4, 6, 8, 10, 15, 20, 30], ["2", "3", "4", "6", "8", "10", "15", "20", "30"])
            panel.set_xticks([], minor=True)
            if row == 0:
                panel.set_title("E8M0 scale, rounded up" if scale == "e8m0" else "scale not quantised")
                panel.plot([], [], **hollow(BLACK, "D", 6), label="crossover, independent simulation")
            else:
                panel.set_xlabel(KAPPA)
        axes[row, 0].set_ylabel(f"{name} (dB)")
    axes[0, 0].legend()
    return fig


ARITHMETIC_LABELS = {"bf16": "scale, quotient BF16", "bf16_reciprocal": "BF16 reciprocal", "bf16_scale": "scale BF16", "bf16_quotient": "quotient BF16",
                     "fp32": "FP32", "e8m0": "E8M0, exact", "e8m0_bf16_log2": "E8M0, log₂ in BF16"}


def clipping(results):
    """Blocks that overflow to code +-128 before clipping."""
    ds = results.dataset
    fig, axes = style.figure(1, 2, PAGE, 2.7)
    published = references("clipping")
    panel = axes[0, 0]
    exact = ds["overflow_exact"].sel(arithmetic="bf16")
    sampled = ds["overflow"].sel(arithmetic="bf16").mean("batch")
    panel.plot(ds["octave"], exact, "-", color=BLUE, label="exact sum")
    panel.plot(ds["octave"], sampled, "o", color=BLUE, label="sampled blocks")
    panel.plot(0, published["overflow_percent[arithmetic=bf16,sigma=1]"]["value"], **hollow(BLACK, "D", 7), label="independent simulation")
    panel.set(xlabel="log₂ σ", ylabel="blocks with a code ±128 (%)", title="scale and quotient in BF16", ylim=(0, 38))
    panel.legend(loc="upper right")
    panel = axes[0, 1]
    names = texts(ds["arithmetic"])
    for y, name in enumerate(names):
        share = float(ds["overflow"].sel(arithmetic=name, octave=0).mean("batch"))
        panel.barh(y, share, 0.55, color=BLUE)
        panel.text(share + 0.4, y + 0.36, f"{share:.2f} %", va="center", fontsize=7)
        panel.plot(published[f"overflow_percent[arithmetic={name},sigma=1]"]["value"], y, **hollow(BLACK, "D", 6), clip_on=False)
    panel.set_yticks(range(len(names)), [ARITHMETIC_LABELS[n] for n in names])
    panel.invert_yaxis()
    panel.set(xlabel="blocks with a code ±128 (%), σ = 1", xlim=(0, 27))
    return fig


def algorithm1(results):
    """Table 11: share of values with code 128."""
    ds = results.dataset
    fig, axes = style.figure(1, 1, style.COLUMN, 2.4)
    panel = axes[0, 0]
    published = references("algorithm1")
    for x, name in enumerate(texts(ds["precision"])):
        share = float(ds["percent"].sel(precision=name).mean("chunk"))
        panel.plot(x, share, "o", color=BLUE, markersize=6, label="ours, 4096 × 4096" if x == 0 else None)
        panel.plot(x, published[f"percent[precision={name}]"]["value"], **hollow(BLACK, "D", 8), label="paper, Table 11" if x == 0 else None)
        panel.annotate(f"{share:.4g} %", (x, share), textcoords="offset points", xytext=(9, -3), fontsize=7)
    panel.set_yscale("symlog", linthresh=0.01)
    panel.set_yticks([0, 0.01, 0.1, 1, 10], ["0", "0.01", "0.1", "1", "10"])
    panel.set_xticks(range(3), [n.upper() for n in texts(ds["precision"])])
    panel.set(ylabel="round(D / (D / 127)) = 128 (%)", xlim=(-0.4, 2.6), ylim=(-0.004, 60))
    panel.legend(loc="upper right")
    return fig


def hardware(results):
    """Gate counts by cell; the published energies and areas beside them."""
    ds = results.dataset
    fig, axes = style.figure(1, 2, PAGE, 3.0, gridspec_kw={"width_ratios": (1.9, 1)})
    panel = axes[0, 0]
    names, bottom = texts(ds["format"]), np.zeros(ds.sizes["format"])
    for cell, colour in zip(texts(ds["cell"]), (BLUE, SKY, GREEN, ORANGE, RED, PURPLE, GREY)):
        gates = ds["gates"].sel(cell=cell).values
        panel.bar(range(len(names)), gates, 0.65, bottom, color=colour, label=cell.replace("_", " "))
        bottom += gates
    published = references("hardware")
    for x, name in enumerate(names):
        total = sum(r["value"] for q, r in published.items() if q.startswith(f"gates[format={name},"))
        panel.plot(x, total, **hollow(BLACK, "D", 6), label="Table 6 by hand, total" if x == 0 else None)
    panel.set_xticks(range(len(names)), [n.upper().split("_")[0] for n in names], rotation=35, ha="right")
    panel.set(ylabel="cells (unweighted)", title="gate model (Table 6): one MAC group of 32 (NV: 16) lanes")
    panel.set_ylim(0, 1.6 * bottom.max())
    panel.legend(ncol=2, loc="upper right")
    panel = axes[0, 1]
    shown = ("mxfp8_e4m3", "mxint8", "nvfp4", "nvint4")
    for kind, colour, marker in (("energy", RED, "o"), ("area", BLUE, "s")):
        panel.plot(range(4), [published[f"{kind}[format={n}]"]["value"] for n in shown], **hollow(colour, marker, 7), label=f"{kind}, paper's Table 5")
    panel.set_xticks(range(4), [n.upper().split("_")[0] for n in shown], rotation=35, ha="right")
    panel.set(ylim=(0, 1.25), ylabel="relative to MXFP8", title="quoted: cell factors not published")
    panel.legend()
    return fig
