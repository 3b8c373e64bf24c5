"""Figures of kvlinc on a real model; see kvlinc.py."""

import numpy as np

from . import style
from .kvlinc_common import SCHEMES, colour_of, label_of, texts
from .style import BLACK, COLOURS, GREY, MARKERS, PAGE


def layers(results):
    """Errors layer by layer, and a map of layer and head."""
    ds = results.dataset
    fig, axes = style.figure(2, 3, PAGE, 4.6)
    layer = ds["layer"].values
    for panel, (output, title) in zip(axes[0], (("k_rel_f", "keys, ‖K − K^‖ / ‖K‖"), ("v_rel_f", "values, ‖V − V^‖ / ‖V‖"))):
        for scheme, (label, colour) in SCHEMES.items():
            panel.plot(layer, ds[output].sel(scheme=scheme).median(("text", "head")), marker=".", linewidth=0.9, color=colour, label=label.replace("\n", " "))
        panel.set(title=title, xlabel="layer", ylim=(0, None))
        panel.legend(fontsize=6)
    for method in ("kivi", "quarot", "kvlinc", "had_channel", "gear_l", "kvquant"):
        axes[0, 2].plot(layer, ds["o_err"].sel(cache=method).median(("text", "head")), marker=".", linewidth=0.9, color=colour_of(method), label=label_of(method))
    axes[0, 2].set(title="output, ‖O − O^‖ / ‖O‖", xlabel="layer", yscale="log")
    axes[0, 2].legend(fontsize=5)
    maps = (("K: Had. channel / raw channel", ds["k_rel_f"].sel(scheme="had_channel") / ds["k_rel_f"].sel(scheme="raw_channel")),
            ("O: KVLinC quantiser / KIVI", ds["o_err"].sel(cache="kvlinc") / ds["o_err"].sel(cache="kivi")),
            ("O: K Had. channel / raw channel", ds["o_err"].sel(cache="had_channel") / ds["o_err"].sel(cache="kvlinc")))
    for panel, (title, ratio) in zip(axes[1], maps):
        picture = ratio.median("text").transpose("head", "layer").values
        far = max(0.05, float(np.nanmax(np.abs(np.log2(picture)))))
        image = panel.imshow(np.log2(picture), aspect="auto", cmap="RdBu_r", vmin=-far, vmax=far, interpolation="nearest", extent=(-0.5, len(layer) - 0.5, picture.shape[0] - 0.5, -0.5))
        panel.set(title=title, xlabel="layer", yticks=range(picture.shape[0]))
        panel.set_xticks(range(0, len(layer), max(1, len(layer) // 6)), [str(v) for v in layer[:: max(1, len(layer) // 6)]])
        panel.grid(False)
        fig.colorbar(image, ax=panel, fraction=0.05, pad=0.02, label="log₂ ratio").ax.tick_params(labelsize=5)
    axes[1, 0].set_ylabel("KV head")
    return fig


def unquantised(ds, view):
    """Losses of the unquantised model: all and decode are one and computed once; 0 where it was not run."""
    if "fp" not in texts(ds["cache"]):
        return 0
    same = [view] if view == "prefill_fp" else [v for v in texts(ds["view"]) if v != "prefill_fp"]
    return ds["loss"].sel(cache="fp", view=same[0]).isel(bits=0)


def perplexity(results):
    """T2: perplexity added by each cache, by view and bits; perplexity itself where the unquantised one was not run."""
    ds = results.dataset
    views, added = texts(ds["view"]), "fp" in texts(ds["cache"])
    methods = [m for m in texts(ds["cache"]) if m != "fp"]
    fig, axes = style.figure(1, len(views), PAGE, 0.9 + 0.22 * len(methods) * len(ds["bits"]) ** 0.5 + 0.8, sharey=True)
    for panel, view in zip(axes[0], views):
        exact = unquantised(ds, view)
        for i, bits in enumerate(ds["bits"].values):
            for y, method in enumerate(methods):
                difference = (ds["loss"].sel(cache=method, view=view, bits=bits) - exact).values
                difference = difference[np.isfinite(difference)]
                if not len(difference):
                    continue
                mean = difference.mean()
                error = difference.std(ddof=1) / len(difference) ** 0.5 if len(difference) > 1 else 0
                percent = lambda d: 100 * (np.exp(d) - 1) if added else np.exp(d)
                place = y + (i - (len(ds["bits"]) - 1) / 2) * 0.25
                panel.plot([percent(mean - 2 * error), percent(mean + 2 * error)], [place] * 2, color=BLACK, linewidth=0.8)
                panel.plot(percent(mean), place, MARKERS[i % len(MARKERS)], color=colour_of(method), label=f"{bits} bits" if y == 0 else None)
        panel.set(title={"all": "every full block quantised", "decode": "as decoding sees it", "prefill_fp": "unquantised first half"}[view], xlabel="perplexity added (%)" if added else "perplexity")
        low, high = panel.get_xlim()
        if low <= 0 or high > 10 * low:  # a logarithmic axis within one decade has no labels
            panel.set_xscale("symlog")
            panel.set_xlim(min(0, low / 3) if added else None, 2 * high)  # the margins of a linear axis hide its ends here
        panel.legend(fontsize=6)
    axes[0, 0].set_yticks(range(len(methods)), [label_of(m) for m in methods])
    axes[0, 0].invert_yaxis()
    return fig


def adapters(results):
    """F6: output error with and without correction adapters, head by head, and their validation curves."""
    ds = results.dataset
    settings = [(d, g, r) for d in ds["features"].values for g in ds["gain"].values for r in ds["rate"].values]
    fig, axes = style.figure(1, 2, PAGE, 3.2)
    left, right = axes[0]
    for i, (features, gain, rate) in enumerate(settings):
        point = ds.sel(features=features, gain=gain, rate=rate)
        plain, corrected = point["o_err_plain"].values.ravel(), point["o_err_corrected"].values.ravel()
        if not np.isfinite(corrected).any():
            continue
        look = {"color": COLOURS[i % len(COLOURS)], "label": f"D = {features}, gain {gain:g}, rate {rate:g}"}
        left.plot(plain, corrected / plain, MARKERS[i % len(MARKERS)], markersize=3.5, **look)
        curve = (point["validation_loss"] / point["validation_loss"].isel(epoch=0)).values.reshape(-1, ds.sizes["epoch"])
        right.plot(ds["epoch"], np.nanmedian(curve, 0), linestyle="-" if gain == ds["gain"].values[0] else "--", **look)
    first = ds.isel(features=0, gain=0, rate=0)
    left.plot(first["o_err_plain"].values.ravel(), (first["o_err_kivi"] / first["o_err_plain"]).values.ravel(), "x", color=GREY, markersize=3.5, label="KIVI of equal bits")
    left.axhline(1, color=BLACK, linewidth=0.6)
    left.set(xlabel="‖O − O^‖ / ‖O‖ of the quantiser, held-out text", ylabel="with adapters / without", yscale="log")
    left.legend(fontsize=5)
    right.axhline(1, color=BLACK, linewidth=0.6)
    right.set(xlabel="passes over the training text", ylabel="validation loss / initial, median head", yscale="log")
    return fig
