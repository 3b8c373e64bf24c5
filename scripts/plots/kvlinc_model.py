"""Figures of kvlinc on a real model; see kvlinc.py."""

import numpy as np

from . import style
from .kvlinc_common import SCHEMES, colour_of, label_of, published, texts
from .style import BLACK, COLOURS, GREY, MARKERS, PAGE, hollow


def layers(results):
    """Errors layer by layer, and a map of layer and head."""
    ds = results.dataset
    fig, axes = style.figure(2, 3, PAGE, 6.0)
    layer = ds["layer"].values
    for panel, (output, title) in zip(axes[0], (("k_rel_f", "keys, ‖K − K^‖ / ‖K‖"), ("v_rel_f", "values, ‖V − V^‖ / ‖V‖"))):
        for scheme, (label, colour) in SCHEMES.items():
            panel.plot(layer, ds[output].sel(scheme=scheme).median(("text", "head")), marker=".", linewidth=0.9, color=colour, label=label.replace("\n", " "))
        panel.set(title=title, xlabel="layer", ylim=(0, None))
        style.legend_under(panel, 1)
    for method in ("kivi", "quarot", "kvlinc", "had_channel", "gear_l", "kvquant"):
        axes[0, 2].plot(layer, ds["o_err"].sel(cache=method).median(("text", "head")), marker=".", linewidth=0.9, color=colour_of(method), label=label_of(method))
    axes[0, 2].set(title="output, ‖O − O^‖ / ‖O‖", xlabel="layer")
    style.log_numbers(axes[0, 2], "y")
    style.legend_under(axes[0, 2], 1)
    maps = (("keys, Had. / raw channel", ds["k_rel_f"].sel(scheme="had_channel") / ds["k_rel_f"].sel(scheme="raw_channel")),
            ("output, KVLinC quantiser / KIVI", ds["o_err"].sel(cache="kvlinc") / ds["o_err"].sel(cache="kivi")),
            ("output, K Had. / raw channel", ds["o_err"].sel(cache="had_channel") / ds["o_err"].sel(cache="kvlinc")))
    for panel, (title, ratio) in zip(axes[1], maps):
        picture = ratio.median("text").transpose("head", "layer").values
        far = max(0.05, float(np.nanmax(np.abs(np.log2(picture)))))
        image = panel.imshow(np.log2(picture), aspect="auto", cmap="RdBu_r", vmin=-far, vmax=far, interpolation="nearest", extent=(-0.5, len(layer) - 0.5, picture.shape[0] - 0.5, -0.5))
        panel.set(title=title, xlabel="layer", yticks=range(picture.shape[0]))
        panel.set_xticks(range(0, len(layer), max(1, len(layer) // 6)), [str(v) for v in layer[:: max(1, len(layer) // 6)]])
        panel.grid(False)
        fig.colorbar(image, ax=panel, location="bottom", fraction=0.06, label="log₂ ratio").ax.tick_params(labelsize=6)
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
                most = max(most, number(mean), value or 0)
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


def change_row(panel, row, ratio, marker, colour):
    """Heads of a setting as markers, and their median: percent by which a ratio differs from 1."""
    change = 100 * (ratio - 1)
    panel.plot(change, row + np.linspace(-0.25, 0.25, len(change)), marker, color=colour, markersize=3.5)
    panel.plot([np.median(change)] * 2, [row - 0.4, row + 0.4], color=BLACK, linewidth=0.9)


def adapters(results):
    """F6: output error with and without correction adapters, head by head, and their validation curves."""
    ds = results.dataset
    settings = [(d, g, r) for d in ds["features"].values for g in ds["gain"].values for r in ds["rate"].values]
    fig, axes = style.figure(1, 2, PAGE, 1.4 + 0.22 * (len(settings) + len(ds["features"])), width_ratios=(3, 2))
    left, right = axes[0]
    labels = []
    for i, (features, gain, rate) in enumerate(settings):
        point = ds.sel(features=features, gain=gain, rate=rate)
        ratio = (point["o_err_corrected"] / point["o_err_plain"]).values.ravel()
        if not np.isfinite(ratio).any():
            continue
        colour = COLOURS[i % len(COLOURS)]
        change_row(left, len(labels), ratio, MARKERS[i % len(MARKERS)], colour)
        labels.append(f"D = {features}, gain {gain:g}, rate {rate:g}")
        curve = (point["validation_loss"] / point["validation_loss"].isel(epoch=0)).values.reshape(-1, ds.sizes["epoch"])
        right.plot(ds["epoch"], np.nanmedian(curve, 0), linestyle="-" if gain == ds["gain"].values[0] else "--", color=colour, marker=MARKERS[i % len(MARKERS)], markersize=3, markevery=max(1, ds.sizes["epoch"] // 6))
    for features in ds["features"].values:
        first = ds.sel(features=features).isel(gain=0, rate=0)
        ratio = (first["o_err_kivi"] / first["o_err_plain"]).values.ravel()
        if np.isfinite(ratio).any():
            change_row(left, len(labels), ratio, "x", GREY)
            labels.append(f"KIVI at the bits of D = {features}")
    left.axvline(0, color=BLACK, linewidth=0.6)
    left.set_xscale("symlog", linthresh=1)
    left.margins(x=0.05)
    left.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    left.set_yticks(range(len(labels)), labels)
    left.invert_yaxis()
    left.set(xlabel="change of ‖O − O^‖ against the quantiser alone (%)", title="heads on held-out text and their median")
    right.axhline(1, color=BLACK, linewidth=0.6)
    style.log_numbers(right, "y")
    right.set(xlabel="passes over the training text", ylabel="validation loss / initial", title="median head")
    return fig
