"""Figures of KVLinC (arXiv:2510.05373) and its baselines from the results of build/bin/kvlinc: one function per experiment.

Hollow markers are values of an independent simulation or printed ones, from results/reference/kvlinc.<figure>.tsv.
"""

import numpy as np

from . import style
from .kvlinc_common import METHODS, SCHEMES, colour_of, file_heads, label_of, published, seeds, texts
from .kvlinc_model import adapters, layers, perplexity
from .style import BLACK, BLUE, GREEN, GREY, MARKERS, ORANGE, PAGE, PURPLE, RED, SKY, hollow

SETTINGS = {"d64-g128": "d = 64, G = 128", "d64-g32": "d = 64, G = 32", "d128-g128": "d = 128, G = 128"}


def scheme_bars(results, figure, symbol):
    """Mean error of each scheme over drawn heads with its spread, and the heads of the file as dots."""
    ds = results.dataset
    fig, axes = style.figure(1, 3, PAGE, 2.7, sharey=True)
    for panel, (setting, title) in zip(axes[0], SETTINGS.items()):
        if setting not in texts(ds["setting"]):
            style.empty_panel(panel, "not in this run")
            continue
        for x, scheme in enumerate(SCHEMES):
            drawn = ds["rel_f"].sel(setting=setting, scheme=scheme, tensor=seeds(ds)).values
            panel.bar(x, drawn.mean(), 0.6, color=SCHEMES[scheme][1], alpha=0.55, linewidth=0)
            panel.errorbar(x, drawn.mean(), drawn.std(), color=BLACK, linewidth=0.8, capsize=2)
            real = ds["rel_f"].sel(setting=setting, scheme=scheme, tensor=file_heads(ds)).values
            panel.plot(x + 0.36 + 0 * real, real, ".", color=GREY, markersize=3)
            value = published(figure, f"rel_f[setting={setting},scheme={scheme}]")
            ratio = published(figure, f"rel_f_over_raw_channel[setting={setting},scheme={scheme}]")
            if value is None and ratio is not None:
                value = ratio * published(figure, f"rel_f[setting={setting},scheme=raw_channel]")
            if value is not None:
                panel.plot(x, value, **hollow(BLACK, "D", 5))
        panel.set_xticks(range(len(SCHEMES)), [SCHEMES[s][0] for s in SCHEMES])
        panel.set_title(title)
    axes[0, 0].set_ylim(bottom=0)
    axes[0, 0].set_ylabel(f"‖{symbol} − {symbol}^‖ / ‖{symbol}‖")
    handles = [axes[0, 0].bar(0, 0, color=GREY, alpha=0.55), axes[0, 0].plot([], [], ".", color=GREY)[0], axes[0, 0].plot([], [], **hollow(BLACK, "D", 5))[0]]
    style.legend_below(fig, handles, ["drawn heads, mean and spread", "heads of SmolLM2-135M (or --tensors)", "independent simulation"], 3)
    return fig


def keys(results):
    """F1: error of keys under four schemes."""
    return scheme_bars(results, "keys", "K")


def values(results):
    """F2: error of values under four schemes."""
    return scheme_bars(results, "values", "V")


def attention(results):
    """F3: error of the attention output and weights."""
    ds = results.dataset
    fig, axes = style.figure(1, 2, PAGE, 3.0, width_ratios=(3, 2))
    pairs = [p for p in texts(ds["pair"])]
    left, right = axes[0]
    colours = dict(zip(SETTINGS, (BLUE, SKY, ORANGE)))
    shown = [s for s in SETTINGS if s in texts(ds["setting"])]
    for i, setting in enumerate(shown):
        x = np.arange(len(pairs)) + (i - 1) * 0.26
        drawn = ds["o_err"].sel(setting=setting, tensor=seeds(ds))
        left.bar(x, drawn.mean("tensor"), 0.24, yerr=drawn.std("tensor"), color=colours[setting], alpha=0.7, error_kw={"linewidth": 0.6}, label=SETTINGS[setting])
        for place, pair in zip(x, pairs):
            value = published("attention", f"o_err[setting={setting},method={pair}]")
            if value is not None:
                left.plot(place, value, **hollow(BLACK, "D", 4))
    left.plot([], [], **hollow(BLACK, "D", 4), label="independent simulation")
    left.set_xticks(range(len(pairs)), [label_of(p) for p in pairs], rotation=60, ha="right")
    left.set(ylabel="‖O − O^‖ / ‖O‖", title="output, drawn heads")
    left.legend(fontsize=6)
    real = ds["o_err"].sel(setting=shown[0], tensor=file_heads(ds))
    for i, pair in enumerate(pairs):
        right.plot(i + 0 * real.sel(pair=pair).values, real.sel(pair=pair).values, ".", color=GREY, markersize=3)
        right.plot([i - 0.3, i + 0.3], [float(np.nanmedian(real.sel(pair=pair)))] * 2, color=BLUE)
    right.set_xticks(range(len(pairs)), [label_of(p) for p in pairs], rotation=60, ha="right")
    right.set(title="output, heads of the file (median)", yscale="log")
    return fig


def bits(results):
    """F4: errors against bits and group size."""
    ds = results.dataset
    fig, axes = style.figure(1, 3, PAGE, 3.2, sharey=True)
    lines = dict(zip(ds["group"].values, (":", "--", "-")[-len(ds["group"]) :]))
    for panel, (output, dim, title) in zip(axes[0], (("k_rel_f", "scheme", "keys"), ("v_rel_f", "scheme", "values"), ("o_err", "pair", "output of attention"))):
        names = texts(ds[dim])
        for i, name in enumerate(names):
            place = ds["bits"].values + (i - (len(names) - 1) / 2) * 0.06  # side by side where errors are equal
            for group, line in lines.items():
                mean = ds[output].sel({dim: name, "group": group, "tensor": seeds(ds)}).mean("tensor")
                colour = SCHEMES[name][1] if dim == "scheme" else colour_of(name)
                label = (SCHEMES[name][0] if dim == "scheme" else label_of(name)).replace("\n", " ")
                panel.plot(place, mean, line, marker=MARKERS[i], markersize=2.5, linewidth=0.9, color=colour, label=label if group == ds["group"].values[-1] else None)
        panel.set(title=title, xlabel="bits of the codes", xticks=ds["bits"].values)
        style.log_numbers(panel, "y")
        style.legend_under(panel)
    axes[0, 0].set_ylabel("relative error")
    handles = [axes[0, 0].plot([], [], line, color=GREY)[0] for line in lines.values()]
    style.legend_below(fig, handles, [f"G = {group}" for group in lines], len(lines))
    return fig


def baselines(results):
    """KIVI, KVQuant, GEAR, QuaRot and others on equal heads: errors and stored bits, method by method."""
    ds = results.dataset
    methods = texts(ds["cache"])
    fig, axes = style.figure(1, 4, PAGE, 1.0 + 0.21 * len(methods), sharey=True)
    drawn = ds.sel(tensor=seeds(ds)).mean("tensor")
    for panel, (output, name) in zip(axes[0], (("k_rel_f", "keys"), ("v_rel_f", "values"), ("o_err", "output"), ("stored_bits", "bits"))):
        for i, bits in enumerate(ds["bits"].values):
            for y, method in enumerate(methods):
                panel.plot(drawn[output].sel(cache=method, bits=bits), y, MARKERS[i], markersize=3.5, color=style.COLOURS[i])
                value = published("baselines", f"{output}[method={method},bits={bits}]")
                ratio = published("baselines", f"k_over_kivi_g128[method={method},bits={bits}]")
                if output == "k_rel_f" and ratio is not None:
                    value = ratio * published("baselines", f"k_rel_f[method=kivi_g128,bits={bits}]")
                if value is not None:
                    panel.plot(value, y, **hollow(BLACK, "D", 6))
        panel.set(title=name, xlabel="stored bits a value" if output == "stored_bits" else "relative error")
        if output != "stored_bits":
            style.log_numbers(panel, "x")
    axes[0, 0].set_yticks(range(len(methods)), [label_of(m) for m in methods])
    axes[0, 0].invert_yaxis()
    handles = [axes[0, 0].plot([], [], MARKERS[i], color=style.COLOURS[i])[0] for i in range(len(ds["bits"]))]
    handles.append(axes[0, 0].plot([], [], **hollow(BLACK, "D", 6))[0])
    style.legend_below(fig, handles, [f"{b} bits" for b in ds["bits"].values] + ["independent simulation"], 4)
    return fig


def length(results):
    """F5: error of the output against the length of the context."""
    ds = results.dataset
    methods = texts(ds["cache"])
    fig, axes = style.figure(1, 2, PAGE, 3.0)
    for i, method in enumerate(methods):
        # side by side, or one within the other, where values are equal
        for panel, output, aside, size in zip(axes[0], ("o_err", "stored_bits"), (0.07, 0), (3, 6 - 0.7 * i)):
            place = ds["context"].values * 2 ** ((i - (len(methods) - 1) / 2) * aside)
            mean, spread = ds[output].sel(cache=method).mean("draw"), ds[output].sel(cache=method).std("draw")
            panel.errorbar(place, mean, spread, marker=MARKERS[i], markersize=size, linewidth=0.9, elinewidth=0.7, capsize=1.5, color=colour_of(method), label=label_of(method))
    for panel, label in zip(axes[0], ("‖O − O^‖ / ‖O‖, decoded tokens", "stored bits a value")):
        panel.set_xscale("log", base=2)
        panel.set_xticks(ds["context"].values, [str(c) for c in ds["context"].values])
        panel.minorticks_off()
        panel.set(xlabel="tokens in the cache", ylabel=label, ylim=(0, None))
    style.legend_below(fig, *axes[0, 0].get_legend_handles_labels(), 3)
    return fig


def formats(results):
    """F7: errors of elements at equal bits."""
    ds = results.dataset
    names = texts(ds["format"])
    fig, axes = style.figure(1, 3, PAGE, 3.2, sharey=True)
    y = np.arange(len(names))
    for panel, (output, dim, chosen) in zip(axes[0], (("k_rel_f", "scheme", ("raw_channel", "had_channel", "had_token")), ("v_rel_f", "scheme", ("raw_token", "had_token")), ("o_err", "pair", ("kivi", "quarot", "kvlinc", "had_channel")))):
        for i, name in enumerate(chosen):
            mean = ds[output].sel({dim: name, "tensor": seeds(ds)}).mean("tensor")
            colour = SCHEMES[name][1] if dim == "scheme" else colour_of(name)
            panel.plot(mean, y, MARKERS[i], markersize=6 - i, color=colour, label=SCHEMES[name][0].replace("\n", " ") if dim == "scheme" else label_of(name))
        panel.set(title={"k_rel_f": "keys", "v_rel_f": "values", "o_err": "output"}[output], xlabel="relative error", xlim=(0, None))
        panel.locator_params(axis="x", nbins=4)
        style.legend_under(panel, 1)
    stored = ds["stored_bits"].sel(tensor=seeds(ds)[0])
    axes[0, 0].set_yticks(y, [f"{n}  ({float(stored.sel(format=n)):.2f})" for n in names])
    axes[0, 0].set_ylabel("format (stored bits a value, channel-wise)")
    return fig


BUDGETS = {"kvlinc_d256": "KVLinC, D = 256", "kvlinc_d64": "KVLinC, D = 64"}


def average_bits(results):
    """T1: what the stored bits are made of."""
    ds = results.dataset
    settings = texts(ds["setting"])
    fig, axes = style.figure(1, 2, PAGE, 2.8, sharey=True)
    kinds = dict(zip(texts(ds["kind"]), (BLUE, SKY, RED, ORANGE, PURPLE, GREEN, GREY)))
    methods = texts(ds["cache"])
    for panel, setting in zip(axes[0], ("published", "model")):
        if setting not in settings:
            style.empty_panel(panel, "not in this run")
            continue
        left = np.zeros(len(methods))
        for kind, colour in kinds.items():
            width = ds["bits_of_kind"].sel(setting=setting, kind=kind).values
            panel.barh([BUDGETS.get(m, label_of(m)) for m in methods], width, left=left, color=colour, label=kind, linewidth=0)
            left += width
        for y, method in enumerate(methods):
            panel.text(left[y] + 0.09, y, f"{left[y]:.2f}", va="center", fontsize=6)
            value = published("average_bits", f"bits[setting={setting},method={method}]")
            if value is not None:
                panel.plot(value, y, **hollow(BLACK, "D", 5))
        panel.set(xlabel="bits a cached value", title={"published": "heads of 128, 8192 tokens", "model": "heads of 64, 2048 tokens"}[setting], xlim=(0, left.max() * 1.15))
        panel.grid(False, axis="y")
    axes[0, 0].invert_yaxis()
    handles, labels = axes[0, 0].get_legend_handles_labels()
    handles.append(axes[0, 0].plot([], [], **hollow(BLACK, "D", 5))[0])
    style.legend_below(fig, handles, labels + ["printed"], 8)
    return fig


def outliers(results):
    """Magnitudes of keys and values, token by channel."""
    ds = results.dataset
    chosen = [texts(ds["tensor"])[0]] + [t for t in file_heads(ds) if t.endswith("head-0")][:3]
    sides = texts(ds["side"])
    titles = {"k_pre": "K before RoPE", "k": "K after RoPE", "v": "V"}
    fig, axes = style.figure(len(sides), len(chosen), PAGE, 1.6 * len(sides) + 0.3, sharex="col", sharey=True)
    for row, side in enumerate(sides):
        for column, tensor in enumerate(chosen):
            panel = axes[row, column]
            picture = ds["magnitude"].sel(side=side, tensor=tensor).values
            image = panel.imshow(picture, aspect="auto", cmap="magma", interpolation="nearest", vmin=0)
            panel.grid(False)
            fig.colorbar(image, ax=panel, fraction=0.05, pad=0.02).ax.tick_params(labelsize=5)
            if row == 0:
                panel.set_title(tensor)
            if column == 0:
                panel.set_ylabel(f"{titles[side]}\nrun of tokens")
            if row + 1 == len(sides):
                panel.set_xlabel("channel")
    return fig


FIGURES = {
    "keys": keys,
    "values": values,
    "attention": attention,
    "bits": bits,
    "baselines": baselines,
    "length": length,
    "formats": formats,
    "average_bits": average_bits,
    "outliers": outliers,
    "layers": layers,
    "perplexity": perplexity,
    "adapters": adapters,
}
