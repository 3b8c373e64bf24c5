"""Figures of MR-GPTQ (arXiv:2509.23202) from the results of build/bin/mr_gptq: one function per experiment.

Each function takes what lowbit_results.open returns and returns a matplotlib figure. The paper's figures have no printed numbers: hollow
diamonds are an independent simulation of the same quantities.
"""

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from . import style
from .style import BLACK, BLUE, GREEN, GREY, ORANGE, PAGE, PURPLE, RED, SKY, hollow

SCALES = {"e4m3": (BLUE, "o", "E4M3 scale"), "e8m0": (RED, "s", "E8M0 scale"), "int4": (GREEN, "^", "INT4, float scale")}
DATA = {"laplace": "Laplace", "normal": "Normal", "weights": "weights (MiniLM-L6)", "activations": "activations (SmolLM2-135M)"}
ELEMENTS = {"e2m1": "E2M1", "int4": "INT4 (±7)"}


def texts(coordinate):
    """Values of a text coordinate as str."""
    return [v.decode() if isinstance(v, bytes) else str(v) for v in coordinate.values]


def published(result, quantity):
    """The reference value of a quantity, NaN if there is none."""
    value = result.references.get(quantity, {}).get("value")
    return np.nan if value is None else value


def log_errors(panel):
    """A logarithmic axis of errors with ticks at 1, 2 and 5."""
    panel.set_yscale("log")
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_formatter(NullFormatter())


def size_axis(panel, label, sizes):
    panel.set_xscale("log", base=2)
    panel.set_xticks(sizes, [str(int(s)) for s in sizes])
    panel.minorticks_off()
    panel.set_xlabel(label)


def group_size(result):
    """Figure 3: rows are the errors of groups and of their largest value, columns the data."""
    ds = result.dataset
    data = texts(ds["data"])
    fig, axes = style.figure(2, len(data), PAGE, 4.4, sharex=True, sharey="row")
    groups = ds["group"].values
    for row, (output, label) in enumerate((("rel", "MSE, relative"), ("top_rel", "MSE of the largest value, relative"))):
        for panel, name in zip(axes[row], data):
            for scale, (colour, marker, title) in SCALES.items():
                if scale not in texts(ds["scale"]):
                    continue
                for rotation, line in (("none", "-"), ("had", "--")):
                    y = ds[output].sel(data=name, scale=scale, rotation=rotation).values
                    y = np.where(y > 1e-9, y, np.nan)  # a float scale reproduces the largest value: nothing to draw
                    panel.plot(groups, y, line, color=colour, marker=marker, markersize=3, label=f"{title}, {'rotated' if rotation == 'had' else 'as it is'}")
                    for group in groups if name == "laplace" else ():
                        quantity = f"{output}[data=laplace,scale={scale},rotation={rotation},group={int(group)}]"
                        panel.plot(group, published(result, quantity), **hollow(BLACK, "D", 5))
            log_errors(panel)
            if row == 0:
                panel.set_title(DATA[name])
            else:
                size_axis(panel, "values per scale G", groups)
        axes[row, 0].set_ylabel(label)
    axes[0, 0].plot([], [], **hollow(BLACK, "D", 5), label="independent simulation")
    style.legend_below(fig, *axes[0, 0].get_legend_handles_labels(), 4)
    return fig


def element_lines():
    """(coordinates, label, style) of each line over group sizes: a colour an element, a dash a distribution."""
    for element, colour in (("e2m1", BLUE), ("int4", GREEN)):
        for source, line, marker in (("laplace", "-", "o"), ("normal", "--", "s")):
            yield dict(element=element, source=source), f"{ELEMENTS[element]}, {DATA[source]}", dict(color=colour, linestyle=line, marker=marker, markersize=3)


def theory(result):
    """Left: MSE by group size; right: Lemma 1, error of the largest value after a rotation over the mean error."""
    ds = result.dataset
    fig, axes = style.figure(1, 2, PAGE, 3.2)
    groups = ds["group"].values
    for at, label, line in element_lines():
        place = f"source={at['source']},element={at['element']}"
        axes[0, 0].plot(groups, ds["mse"].sel(at), label=label, **line)
        sampled = ds.sel(at).dropna("group", subset=["top_ratio"])
        ratio, low, high = (sampled[name].values for name in ("top_ratio", "top_ratio_low", "top_ratio_high"))
        axes[0, 1].errorbar(sampled["group"].values, ratio, [ratio - low, high - ratio], linewidth=1, label=label, **line)
        for panel, output, places in ((axes[0, 0], "mse", groups), (axes[0, 1], "top_ratio", sampled["group"].values)):
            panel.plot(places, [published(result, f"{output}[{place},group={int(g)}]") for g in places], **hollow(BLACK, "D", 5))
    axes[0, 1].axhline(1, color=GREY, linewidth=0.8, linestyle=":")
    log_errors(axes[0, 0])
    axes[0, 0].set(ylabel="MSE(G), scale not rounded")
    axes[0, 1].set(ylabel="MSE of the largest value / MSE, rotated", title="Lemma 1 says 1")
    shown = [g for g in groups if 8 <= g <= 256 and np.log2(g) % 1 == 0]
    size_axis(axes[0, 0], "values per scale G", [g for g in groups if np.log2(g) % 2 == 0 or g == 8])
    size_axis(axes[0, 1], "values per scale G", shown if len(shown) else groups)
    axes[0, 0].plot([], [], **hollow(BLACK, "D", 5), label="independent simulation")
    style.legend_below(fig, *axes[0, 0].get_legend_handles_labels(), 5)
    return fig


def dead_zone(result):
    """Lemma 2: energy outside of the dead zone by group size, and the share of the error that the dead zone makes."""
    ds = result.dataset
    fig, axes = style.figure(1, 2, PAGE, 3.0)
    groups = ds["group"].values
    for at, label, line in element_lines():
        axes[0, 0].plot(groups, ds["preserved"].sel(at), label=label, **line)
        axes[0, 1].plot(groups, ds["dead_energy"].sel(at) / ds["mse"].sel(at), **line)
    axes[0, 0].set(ylabel="R(G), energy outside dead zone", title="Lemma 2: Laplace falls as $G^{-δ}$, Normal as $G^{-δ²}$")
    axes[0, 1].set(ylabel="dead-zone energy / MSE", ylim=(0, 1.02))
    for panel in axes[0]:
        size_axis(panel, "values per scale G", groups[::3] if len(groups) > 6 else groups)
    style.legend_below(fig, *axes[0, 0].get_legend_handles_labels(), 4)
    return fig


def scale_format(result):
    """Relative errors by the element of the scale, and what they add to a scale that is not rounded."""
    ds = result.dataset
    scales, data = texts(ds["scale"]), texts(ds["data"])
    fig, axes = style.figure(1, len(data), PAGE, 3.0, sharey=True)
    for panel, name in zip(axes[0], data):
        base = float(ds["rel"].sel(data=name, scale="fp32")) if "fp32" in scales else np.nan
        for x, scale in enumerate(scales):
            at = dict(data=name, scale=scale)
            value = float(ds["rel"].sel(at))
            panel.bar(x, value, 0.7, color=GREY if scale == "fp32" else RED if scale.startswith("e8m0") else BLUE)
            panel.plot([x, x], [float(ds["rel_low"].sel(at)), float(ds["rel_high"].sel(at))], color=BLACK, linewidth=0.8)
            panel.plot(x, published(result, f"rel[data={name},scale={scale}]"), **hollow(BLACK, "D", 5))
            if scale != "fp32":
                panel.annotate(f"{100 * (value / base - 1):+.0f} %", (x, float(ds["rel_high"].sel(at))), textcoords="offset points", xytext=(0, 5), ha="center", va="bottom", fontsize=5.5, rotation=90)
        panel.set_xticks(range(len(scales)), [s.upper().replace("_OCP", "\nOCP") for s in scales], rotation=90)
        panel.set_title(DATA[name], fontsize=7)
        log_errors(panel)
        panel.set_ylim(0.006, 4 * float(ds["rel"].max()))
        panel.grid(axis="x", visible=False)
    axes[0, 0].set_ylabel("MSE of E2M1, relative")
    axes[0, -1].plot([], [], **hollow(BLACK, "D", 5), label="independent simulation")
    style.legend_below(fig, *axes[0, -1].get_legend_handles_labels(), 1)
    return fig


def rotation_size(result):
    """Left: errors of the four formats by rotation size; the others: heat maps over group and rotation size."""
    ds = result.dataset
    series = (("nvfp4", 16, "nvfp4", "NVFP4", BLUE, "o"), ("mxfp4", 32, "mxfp4", "MXFP4", RED, "s"), ("int4", 32, "int4_g32", "INT4 g32", GREEN, "^"),
              ("int4", 512, "int4_row", "INT4 per row", ORANGE, "v"))
    elements = texts(ds["element"])
    fig, axes = style.figure(1, 1 + len(elements), PAGE, 3.1, gridspec_kw={"width_ratios": [1.35] + [1] * len(elements)})
    panel, sizes, groups = axes[0, 0], ds["rotation"].values, ds["group"].values
    for element, group, name, label, colour, marker in series:
        if element not in elements or group not in groups:
            continue
        panel.plot(sizes, ds["rel"].sel(element=element, group=group), "-", color=colour, marker=marker, markersize=3, label=label)
        for size in sizes:
            panel.plot(size, published(result, f"rel[format={name},rotation={int(size)}]"), **hollow(colour, "D", 5))
    log_errors(panel)
    panel.set(ylabel="MSE, relative, mean over rows")
    size_axis(panel, "rotation size (1: none)", sizes)
    panel.tick_params(axis="x", rotation=90)
    panel.plot([], [], **hollow(BLACK, "D", 5), label="independent\nsimulation")
    panel.legend(fontsize=6)
    for panel, element in zip(axes[0, 1:], elements):
        grid = np.log10(ds["rel"].sel(element=element).transpose("group", "rotation").values)
        image = panel.imshow(grid, origin="lower", aspect="auto", cmap="viridis_r")
        best = np.nanargmin(grid, axis=1)
        panel.plot(best, range(len(groups)), "*", color=RED, markersize=5)
        panel.set_xticks(range(len(sizes)), [str(int(s)) for s in sizes], rotation=90)
        panel.set_yticks(range(len(groups)), [str(int(g)) for g in groups])
        panel.set(xlabel="rotation size", title=element.upper())
        panel.grid(False)
        bar = fig.colorbar(image, ax=panel, orientation="horizontal", location="top", pad=0.12, fraction=0.06)
        bar.ax.tick_params(labelsize=5)
        bar.set_label("log10 of the MSE", size=6)
    axes[0, 1].set_ylabel("values per scale G (★: best rotation)")
    return fig


def grid(result):
    """Relative errors by the search of the scales."""
    ds = result.dataset
    data, groups, scales, searches = texts(ds["data"]), ds["group"].values, texts(ds["scale"]), texts(ds["search"])
    fig, axes = style.figure(1, len(data) * len(groups), PAGE, 3.0, sharey=True)
    colours = dict(zip(("absmax", "mse", "mse2", "alternate", "dagger"), (GREY, BLUE, SKY, GREEN, ORANGE)))
    names = {"mse": "least Σ|e|$^{2.4}$", "mse2": "least squares", "alternate": "with tensor scale", "dagger": "MXFP4†"}
    for panel, (name, group) in zip(axes[0], [(d, g) for d in data for g in groups]):
        for x, scale in enumerate(scales):
            shown = [s for s in searches if np.isfinite(float(ds["rel"].sel(data=name, group=group, scale=scale, search=s)))]
            for i, search in enumerate(shown):
                place = x + (i - (len(shown) - 1) / 2) * 0.2
                value = float(ds["rel"].sel(data=name, group=group, scale=scale, search=search))
                panel.bar(place, value, 0.18, color=colours[search])
                panel.plot(place, published(result, f"rel[data={name},search={search},scale={scale},group={int(group)}]"), **hollow(BLACK, "D", 5))
        panel.set_xticks(range(len(scales)), [s.upper() for s in scales])
        panel.set_title(f"{DATA[name]}, G = {int(group)}")
        panel.grid(axis="x", visible=False)
    axes[0, 0].set_ylabel("MSE of E2M1, relative")
    for search in searches:
        axes[0, 0].bar(0, 0, color=colours[search], label=names.get(search, search))
    axes[0, 0].plot([], [], **hollow(BLACK, "D", 5), label="independent simulation")
    style.legend_below(fig, *axes[0, 0].get_legend_handles_labels(), 6)
    return fig


VARIANTS = {"rtn": "RTN", "rtn_mse": "RTN, mse grid", "gptq": "GPTQ", "gptq_act": "GPTQ, act-order", "gptq_mse_act": "GPTQ, mse, act-order"}


def gptq(result):
    """Output errors of the variants by rotation size: weights alone (top), weights and activations (bottom)."""
    ds = result.dataset
    formats, sizes = texts(ds["format"]), ds["rotation"].values
    fig, axes = style.figure(2, len(formats), PAGE, 4.6, sharex=True, sharey="row")
    colours = dict(zip(VARIANTS, (GREY, SKY, BLUE, PURPLE, RED)))
    for row, output in enumerate(("weight_only", "w4a4")):
        for panel, name in zip(axes[row], formats):
            for i, variant in enumerate(texts(ds["variant"])):
                cell = ds[output].sel(format=name, variant=variant).transpose("rotation", "layer").values
                mean = cell.mean(axis=1)
                panel.errorbar(sizes * 2 ** (0.06 * (i - 2)), mean, [mean - cell.min(axis=1), cell.max(axis=1) - mean], color=colours[variant], marker="o", markersize=3,
                               linewidth=1, elinewidth=0.6, label=VARIANTS[variant])
                if output == "w4a4" and variant in ("rtn", "gptq_mse_act"):
                    for size in sizes:
                        panel.plot(size, published(result, f"w4a4_{variant}[format={name},rotation={int(size)}]"), **hollow(BLACK, "D", 5))
            log_errors(panel)
            if row == 0:
                panel.set_title(name.upper())
            else:
                size_axis(panel, "rotation size (1: none)", sizes)
        axes[row, 0].set_ylabel("output error, weights rounded" if row == 0 else "output error, both rounded")
    axes[1, 0].plot([], [], **hollow(BLACK, "D", 5), label="independent simulation (mean of 5 layers)")
    handles, labels = axes[1, 0].get_legend_handles_labels()
    style.legend_below(fig, handles, labels, 3)
    return fig


def tensor_kind(name):
    """Label of the kind of a tensor: its linear layer, and whether it is a weight or an input."""
    if name.startswith("minilm:"):
        return "MiniLM"
    return name.split(".")[-2].removesuffix("_proj") + (" w" if name.endswith(".weight") else " x")


def layers(result):
    """Errors per kind of tensor by group size (median over layers), and the excess kurtosis of rows before and after rotation."""
    ds = result.dataset
    names = texts(ds["tensor"])
    kinds = list(dict.fromkeys(sorted((tensor_kind(n) for n in names), key=lambda k: (k == "MiniLM", k[-1]))))
    fig, axes = style.figure(2, 3, PAGE, 5.0)
    groups, colours = ds["group"].values, dict(zip(kinds, [c for c in (BLUE, SKY, GREEN, PURPLE, ORANGE, RED, GREY, BLACK) for _ in (0, 1)]))
    colours["MiniLM"] = BLACK
    for row, output in enumerate(("rel", "top_rel")):
        for panel, scale in zip(axes[row], ("e4m3", "e8m0")):
            for kind in kinds:
                members = [i for i, n in enumerate(names) if tensor_kind(n) == kind]
                for rotation, line in (("none", "-"), ("had", "--")):
                    y = ds[output].sel(scale=scale, rotation=rotation).isel(tensor=members).transpose("tensor", "group").median("tensor")
                    panel.plot(groups, y, line, color=colours[kind], linewidth=0.9, marker="o" if kind.endswith("x") else None, markersize=2.5)
            log_errors(panel)
            panel.set(title=f"{scale.upper()} scale, {'groups' if row == 0 else 'largest value'}")
            size_axis(panel, "values per scale G (dashed: rotated)", groups)
        axes[row, 0].set_ylabel("MSE, relative" if row == 0 else "MSE of the largest value, relative")
    for panel, output, title in ((axes[0, 2], "kurtosis", "as it is"), (axes[1, 2], "kurtosis_rotated", "after H32")):
        for x, kind in enumerate(kinds):
            values = [float(ds[output].isel(tensor=i)) for i, n in enumerate(names) if tensor_kind(n) == kind]
            panel.plot([x] * len(values), values, "o", color=colours[kind], markersize=2.5, alpha=0.6)
        panel.axhline(0, color=GREY, linewidth=0.8)
        panel.set_yscale("symlog", linthresh=1)
        panel.margins(y=0.1)
        panel.set_xticks(range(len(kinds)), kinds, rotation=90)
        panel.set_title(f"excess kurtosis of rows, {title}", fontsize=7)
    for kind in kinds:
        axes[0, 0].plot([], [], color=colours[kind], marker="o" if kind.endswith("x") else None, markersize=2.5, label=kind)
    fig.suptitle(f"{model_name(result)}; MiniLM: float32 weights", fontsize=7)
    style.legend_below(fig, *axes[0, 0].get_legend_handles_labels(), 6)
    return fig


def model_name(result):
    """The model of a run, with what to know about its weights."""
    name = str(result.params["model"])
    return "SmolLM2-135M (weights on a Q4_1 grid)" if name == "smollm2-135m" else name


def paper_accuracy(panel, result, methods, width):
    """Accuracy that the paper's model loses, in percent of its own; diamonds: with real kernels."""
    tables = result.reference
    formats = {"nvfp4": BLUE, "mxfp4": RED, "int4:g32": GREEN}
    for f, (name, colour) in enumerate(formats.items()):
        for key, column in (("accuracy_percent", "accuracy"), ("recovery_percent", "recovery")):
            table = tables[key]
            cells = [(methods.index(m), v) for form, m, v in zip(table["format"], table["method"], table[column]) if form == name and m in methods]
            places = [x + (f - 1) * width for x, _ in cells]
            if column == "accuracy":
                panel.bar(places, [100 * (1 - v / 78.93) for _, v in cells], width, color=colour, alpha=0.5)
            else:
                panel.plot(places, [100 - v for _, v in cells], **hollow(BLACK, "D", 4))


def perplexity(result):
    """Perplexity and KL by format and method, the model as it is as a line; what the paper's model loses beside it, for the order alone."""
    ds = result.dataset
    formats, methods = texts(ds["format"]), texts(ds["method"])
    fig, axes = style.figure(1, 3, PAGE, 3.6)
    colours = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY, BLACK)
    loss, kl, reference = (ds[name].transpose("format", "method", "window").values for name in ("loss", "kl", "reference_loss"))
    width = 0.8 / max(len(formats), 1)
    root = np.sqrt(loss.shape[-1])
    for f, name in enumerate(formats):
        place = np.arange(len(methods)) + (f - (len(formats) - 1) / 2) * width
        several = loss.shape[-1] > 1
        # paired: the error of the loss beyond that of the model as it is
        error = np.exp(loss[f].mean(axis=-1)) * (loss[f] - reference[f]).std(axis=-1, ddof=1) / root if several else None
        bars = dict(color=colours[f % len(colours)], error_kw={"elinewidth": 0.6})
        axes[0, 0].bar(place, np.exp(loss[f].mean(axis=-1)), width, yerr=error, label=name, **bars)
        axes[0, 1].bar(place, kl[f].mean(axis=-1), width, yerr=kl[f].std(axis=-1, ddof=1) / root if several else None, **bars)
    windows = reference.reshape(-1, reference.shape[-1])
    windows = windows[np.isfinite(windows).all(axis=1)]
    if len(windows):
        axes[0, 0].axhline(np.exp(windows[0].mean()), color=BLACK, linestyle=":", linewidth=1, label="model as it is")
    axes[0, 0].set(ylabel="perplexity, W4A4 (bars: s.e., paired)")
    axes[0, 1].set(ylabel="KL from the model as it is (nat; bars: s.e.)")
    for panel in axes[0, :2]:
        panel.set_title(model_name(result), fontsize=6)
    axes[0, 2].plot([], [], **hollow(BLACK, "D", 4), label="paper, real kernels")
    paper_accuracy(axes[0, 2], result, methods, 0.27)
    axes[0, 2].set(ylabel="accuracy lost (% of unquantised)")
    axes[0, 2].set_title("paper: Llama-3.1-8B-Instruct (order only)", fontsize=6)
    for panel in axes[0]:
        panel.set_xticks(range(len(methods)), methods, rotation=90)
        panel.grid(axis="x", visible=False)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    more = axes[0, 2].get_legend_handles_labels()
    style.legend_below(fig, handles + more[0], labels + more[1], 3)
    return fig


FIGURES = {"group_size": group_size, "theory": theory, "dead_zone": dead_zone, "scale_format": scale_format, "rotation_size": rotation_size, "grid": grid, "gptq": gptq,
           "layers": layers, "perplexity": perplexity}
