"""Figures of kvlinc on a real model; see kvlinc.py."""

import numpy as np

from . import style
from .kvlinc_common import SCHEMES, colour_of, label_of, published, texts
from .style import BLACK, COLOURS, GREY, MARKERS, PAGE, hollow


def layers(results):
    """Errors layer by layer, and a map of layer and head."""
    ds = results.dataset
    fig, axes = style.figure(2, 3, PAGE, 5.2)
    layer = ds["layer"].values
    for panel, (output, title) in zip(axes[0], (("k_rel_f", "keys, ‖K − K^‖ / ‖K‖"), ("v_rel_f", "values, ‖V − V^‖ / ‖V‖"))):
        for scheme, (label, colour) in SCHEMES.items():
            panel.plot(layer, ds[output].sel(scheme=scheme).median(("text", "head")), marker=".", linewidth=0.9, color=colour, label=label.replace("\n", " "))
        panel.set(title=title, xlabel="layer", ylim=(0, None))
        style.legend_under(panel)
    for method in ("kivi", "quarot", "kvlinc", "had_channel", "gear_l", "kvquant"):
        axes[0, 2].plot(layer, ds["o_err"].sel(cache=method).median(("text", "head")), marker=".", linewidth=0.9, color=colour_of(method), label=label_of(method))
    axes[0, 2].set(title="output, ‖O − O^‖ / ‖O‖", xlabel="layer")
    style.log_numbers(axes[0, 2], "y")
    style.legend_under(axes[0, 2])
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


def percent(difference):
    """Perplexity added, in percent, by a difference of losses."""
    return 100 * (np.exp(difference) - 1)


def perplexity(results):
    """T2: perplexity added by each cache, by view and bits; perplexity itself where the unquantised one was not run."""
    ds = results.dataset
    views, added, widths = texts(ds["view"]), "fp" in texts(ds["cache"]), ds["bits"].values
    methods = [m for m in texts(ds["cache"]) if m != "fp"]
    step = 0.8 / len(widths)
    fig, axes = style.figure(1, len(views), PAGE, 1.3 + len(methods) * (0.14 + 0.09 * len(widths)), sharey=True)
    for panel, view in zip(axes[0], views):
        exact, most = unquantised(ds, view), 0
        for i, bits in enumerate(widths):
            for y, method in enumerate(methods):
                difference = (ds["loss"].sel(cache=method, view=view, bits=bits) - exact).values
                difference = difference[np.isfinite(difference)]
                if not len(difference):
                    continue
                mean = difference.mean()
                error = difference.std(ddof=1) / len(difference) ** 0.5 if len(difference) > 1 else 0
                number = percent if added else np.exp
                place = y + (i - (len(widths) - 1) / 2) * step
                panel.plot([number(mean - 2 * error), number(mean + 2 * error)], [place] * 2, color=BLACK, linewidth=0.8)
                panel.plot(number(mean), place, MARKERS[i % len(MARKERS)], markersize=3.5, color=colour_of(method))
                value = published("perplexity", f"increase[method={method},view={view},bits={bits}]") if added else None
                if value is not None:
                    panel.plot(value, place, **hollow(BLACK, "D", 6))
                most = max(most, number(mean))
        for y in range(1, len(methods)):
            panel.axhline(y - 0.5, color="#DDDDDD", linewidth=0.4)
        panel.grid(False, axis="y")
        panel.set(title={"all": "every full block quantised", "decode": "as decoding sees it", "prefill_fp": "unquantised first half"}[view], xlabel="perplexity added (%)" if added else "perplexity")
        if added and most > 10:  # linear up to 1 %, so that what a method wins has a place, and logarithmic beyond
            low = min(0, panel.get_xlim()[0] if panel.dataLim.x0 < -0.5 else -0.5)
            panel.set_xscale("symlog", linthresh=1, linscale=0.5)
            panel.set_xlim(low, 2 * most)
            panel.set_xticks([t for t in (-1, 0, 1, 10, 100, 1000, 10000) if low <= t <= 2 * most], minor=False)
            panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        elif not added:
            style.log_numbers(panel, "x")
    axes[0, 0].set_yticks(range(len(methods)), [label_of(m) for m in methods])
    axes[0, 0].set_ylim(len(methods) - 0.5, -0.5)
    handles = [axes[0, 0].plot([], [], MARKERS[i % len(MARKERS)], color=GREY)[0] for i in range(len(widths))]
    handles += [axes[0, 0].plot([], [], color=BLACK, linewidth=0.8)[0], axes[0, 0].plot([], [], **hollow(BLACK, "D", 6))[0]]
    style.legend_below(fig, handles, [f"{b} bits" for b in widths] + ["2 standard errors of paired losses", "independent run"], 5)
    return fig


def adapters(results):
    """F6: output error with and without correction adapters, head by head, and their validation curves."""
    ds = results.dataset
    settings = [(d, g, r) for d in ds["features"].values for g in ds["gain"].values for r in ds["rate"].values]
    fig, axes = style.figure(1, 2, PAGE, 3.4)
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
    left.set(xlabel="‖O − O^‖ / ‖O‖ of the quantiser, held-out text", ylabel="with adapters / without")
    right.axhline(1, color=BLACK, linewidth=0.6)
    right.set(xlabel="passes over the training text", ylabel="validation loss / initial, median head")
    for panel in (left, right):
        style.log_numbers(panel, "y")
    style.legend_below(fig, *left.get_legend_handles_labels(), 3)
    return fig
