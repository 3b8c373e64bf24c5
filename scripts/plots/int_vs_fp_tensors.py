"""Figures of int_vs_fp on real tensors and on a model: fig4, fig4_layers, table2, kl."""

import re

import numpy as np

from . import style
from .int_vs_fp_common import KAPPA, PAIR_FORMATS, PAIRS, QSNR, REFERENCE, references, texts
from .style import BLACK, BLUE, GREEN, GREY, ORANGE, PAGE, RED, hollow

ROLES = ("W", "X", "dY", "Wᵀ", "Xᵀ", "dYᵀ")
ROLE_MARKERS = {0: ("s", "W, Wᵀ"), 1: ("o", "X, Xᵀ"), 2: ("^", "dY, dYᵀ")}
TRANSFORMS = {"id": "no rotation", "rhad": "random Hadamard, 32 × 32"}


def roles_of(ds):
    """Role number of each operand; it stands at the first sequence."""
    return ds["role"].isel(transform=0, sequence=0).values.astype(int)


def pooled(values, roles):
    """An output over (tensor, sequence) as one array and the roles of its entries: weights count once a sequence, absent entries are left out."""
    array = values.transpose("tensor", "sequence").values.copy()
    weights = roles % 3 == 0
    array[weights] = array[weights, :1]
    flat, owner = array.ravel(), np.repeat(roles, array.shape[1])
    return flat[np.isfinite(flat)], owner[np.isfinite(flat)]


def source(results):
    """What the tensors are, for titles."""
    ds, tensors = results.dataset, str(results.params["tensors"])
    count, sequences = ds.sizes["tensor"], ds.sizes["sequence"]
    if tensors == "minilm":
        return f"weights of MiniLM (float32): {count} operands"
    if tensors == "sample":
        return "offline sample: 36 weights of MiniLM, 9 activations and gradients of SmolLM2-135M"
    what = tensors.removeprefix("model:").rsplit("/", 1)[-1].replace("smollm2-135m", "SmolLM2-135M")
    return f"{what}: {count} operands × {sequences} window{'s' if sequences > 1 else ''}"


# ---------------------------------------------------------------------------------------------------------------- fig4


def fig4(results):
    """The paper's scatter: QSNR against the crest factor, one marker per tensor."""
    ds = results.dataset
    published = references("fig4")
    roles = roles_of(ds)
    fig, axes = style.figure(2, 4, PAGE, 4.9)
    for row, transform in enumerate(TRANSFORMS):
        for column, pair in enumerate(PAIRS):
            panel = axes[row, column]
            fig4_panel(panel, ds.sel(pair=pair, transform=transform), roles, pair, transform, published)
            if row == 0:
                panel.set_title(PAIRS[pair])
            else:
                panel.set_xlabel(KAPPA)
        axes[row, 0].set_ylabel(f"{TRANSFORMS[transform]}\n{QSNR}")
    style.legend_below(fig, *fig4_legend(axes[0, 0]), 3)
    fig.suptitle(source(results), fontsize=8)
    return fig


def fig4_legend(panel):
    """Three columns: shapes, INT, FP."""
    plain = {"linestyle": "none", "markersize": 4}
    handles = [panel.plot([], [], marker=marker, color=GREY, **plain)[0] for marker, _ in ROLE_MARKERS.values()]
    labels = [label for _, label in ROLE_MARKERS.values()]
    for colour, name in ((RED, "INT"), (BLUE, "FP")):
        mean = panel.plot([], [], marker="D", color=colour, markeredgecolor="white", linestyle="none", markersize=6)[0]
        handles += [panel.plot([], [], marker="o", color=colour, **plain)[0], mean, panel.plot([], [], **hollow(colour, "D", 6))[0]]
        labels += [f"{name}, one operand", f"{name}, our mean", f"{name}, paper's mean (Llama-3.1-8B)"]
    return handles, labels


def fig4_panel(panel, point, roles, pair, transform, published):
    kappa, owner = pooled(point["kappa"], roles)
    edge = panel.get_yaxis_transform()
    values = {kind: pooled(point[f"{kind}_qsnr"], roles)[0] for kind in ("int", "fp")}
    everything = np.concatenate(list(values.values()))
    low, high = np.quantile(everything, (0.002, 0.993))
    low, high = low - 0.06 * (high - low), high + 0.3 * (high - low)
    for (kind, qsnr), colour in zip(values.items(), (RED, BLUE)):
        for role, (marker, _) in ROLE_MARKERS.items():
            mine = owner % 3 == role
            panel.plot(kappa[mine], qsnr[mine], marker, color=colour, markersize=2.2, markeredgewidth=0, alpha=0.25 if len(qsnr) > 500 else 0.7, rasterized=True)
        panel.plot(0.95, qsnr.mean(), "D", color=colour, markersize=6, markeredgecolor="white", transform=edge, zorder=5)
        value = published[f"{kind}_qsnr_mean[pair={pair},transform={transform}]"]["value"]
        panel.plot(0.95, value, transform=edge, zorder=6, **hollow(colour, "D", 6))
    wins = 100 * np.mean(values["int"] > values["fp"])
    paper = published[f"int_win_percent[pair={pair},transform={transform}]"]["value"]
    beyond = int(np.sum((everything < low) | (everything > high)))
    note = f"INT wins {wins:.0f} %\n(paper {paper:g} %)" + (f"\n{100 * beyond / len(everything):.1f} % out of view" if beyond else "")
    panel.text(0.97, 0.99, note, transform=panel.transAxes, fontsize=6.5, va="top", ha="right")
    panel.set_ylim(low, high)
    left, right = kappa.min(), kappa.max()
    panel.set_xlim(left - 0.05 * (right - left), right + 0.22 * (right - left))
    panel.locator_params(axis="x", nbins=4)
    panel.locator_params(axis="y", nbins=6)


# --------------------------------------------------------------------------------------------------------- fig4_layers


def place(name):
    """'model.layers.3.mlp.up_proj.x^T' -> (3, 'mlp.up_proj'); (0, name without its last part) where no layer is named."""
    base = name.removesuffix("^T").rsplit(".", 1)[0]
    found = re.search(r"(?:^|\.)(?:layers?|h|block)\.(\d+)\.(.*)", base)
    return (int(found[1]), found[2]) if found else (0, base)


def layer_grid(values, names, roles):
    """Means over sequences as an array (role and module, layer) with the labels of its rows as (role, module)."""
    mean = np.nanmean(np.where(np.isfinite(values), values, np.nan), axis=1)
    places = [place(n) for n in names]
    modules = list(dict.fromkeys(m for _, m in places))
    rows = sorted({(int(r), modules.index(m)) for r, (_, m) in zip(roles, places)})
    grid = np.full((len(rows), max(layer for layer, _ in places) + 1), np.nan)
    for value, role, (layer, module) in zip(mean, roles, places):
        grid[rows.index((int(role), modules.index(module))), layer] = value
    return grid, [(role, modules[m]) for role, m in rows]


def fig4_layers(results):
    """INT - FP by tensor type and layer, and the crest factor beside it."""
    ds = results.dataset
    roles, names = roles_of(ds), texts(ds["tensor"])
    fig, axes = style.figure(2, 5, PAGE, 8.2, sharex=True, sharey=True)
    for row, transform in enumerate(TRANSFORMS):
        for column, pair in enumerate([*PAIRS, "kappa"]):
            panel = axes[row, column]
            point = ds.sel(pair="mx8" if pair == "kappa" else pair, transform=transform)
            values = point["kappa"] if pair == "kappa" else point["int_qsnr"] - point["fp_qsnr"]
            grid, labels = layer_grid(values.transpose("tensor", "sequence").values, names, roles)
            limit = np.nanmax(np.abs(ds["int_qsnr"].sel(pair=pair) - ds["fp_qsnr"].sel(pair=pair)).values) if pair != "kappa" else 0
            scale = {"cmap": "viridis", "vmin": 1.8, "vmax": 4.6} if pair == "kappa" else {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
            image = panel.pcolormesh(np.arange(grid.shape[1] + 1) - 0.5, np.arange(len(labels) + 1) - 0.5, grid, rasterized=True, **scale)
            panel.grid(False)
            panel.tick_params(axis="y", length=0)
            if row == 0:
                panel.set_title("κ, g = 32" if pair == "kappa" else PAIRS[pair].replace(" / ", "\n− "))
            else:
                bar = fig.colorbar(image, ax=axes[:, column], location="bottom", aspect=12, pad=0.01, fraction=0.03)
                bar.set_label("" if pair == "kappa" else "dB, red: INT ahead", fontsize=6)
                bar.ax.tick_params(labelsize=6)
                panel.set_xlabel("layer")
            for edge in [i for i in range(1, len(labels)) if labels[i][0] != labels[i - 1][0]]:
                panel.axhline(edge - 0.5, color=BLACK, linewidth=0.6)
        style_rows(axes[row, 0], labels, TRANSFORMS[transform])
    fig.suptitle(source(results), fontsize=8)
    return fig


def style_rows(panel, labels, title):
    """Names of the rows: the module at each, the role once a group."""
    short = lambda module: module.rsplit(".", 1)[-1].removesuffix("_proj")
    panel.set_yticks(range(len(labels)), [short(module) for _, module in labels], fontsize=5.5)
    panel.tick_params(axis="y", length=0, pad=1)
    panel.set_ylim(len(labels) - 0.5, -0.5)
    for role in sorted({r for r, _ in labels}):
        rows = [i for i, (r, _) in enumerate(labels) if r == role]
        panel.text(-0.4, np.mean(rows), ROLES[role], transform=panel.get_yaxis_transform(), ha="right", va="center", fontsize=8)
    panel.text(-0.72, 0.5, title, transform=panel.transAxes, rotation=90, ha="center", va="center", fontsize=8)


# -------------------------------------------------------------------------------------------------------------- table2


def table2(results):
    """Quantiles of the tensors' crest factors beside the paper's."""
    ds = results.dataset
    roles = roles_of(ds)
    fig, axes = style.figure(1, 2, PAGE * 0.85, 3.1, gridspec_kw={"width_ratios": (1, 2)})
    for panel, groups in zip(axes[0], (("channel",), ("32", "16"))):
        columns = [(group, transform) for group in groups for transform in ("id", "rhad")]
        for x, (group, transform) in enumerate(columns):
            kappa, owner = pooled(ds["kappa"].sel(transform=transform, group=group), roles)
            table2_column(panel, x, kappa, owner, group, transform)
        name = lambda group: "channel" if group == "channel" else f"g = {group}"
        panel.set_xticks(range(len(columns)), [name(g) + ("\nrotated" if t == "rhad" else "\n") for g, t in columns])
        panel.set_xlim(-0.5, len(columns) - 0.5)
    axes[0, 0].set_yscale("log")
    axes[0, 0].set_yticks([3, 4, 6, 10, 20, 40, 60], ["3", "4", "6", "10", "20", "40", "60"])
    axes[0, 0].set_yticks([], minor=True)
    axes[0, 1].set_ylim(1.6, 4.8)
    axes[0, 0].set_ylabel(KAPPA + " (mean over blocks)")
    axes[0, 1].set_title(source(results) + "; rotated: random Hadamard, 32 × 32", loc="right", fontsize=7)
    panel = axes[0, 1]
    handles = [panel.bar(0, 0, color=BLUE, alpha=0.4), panel.bar(0, 0, color=ORANGE, alpha=0.4)] + [panel.plot([], [], **hollow(BLACK, m, 5 if m != "_" else 8))[0] for m in ("^", "D", "_", "v")]
    style.legend_below(fig, handles, ["ours: range, quartiles, median", "ours, without W and Wᵀ", "paper: max", "paper: median", "paper: quartiles", "paper: min"], 3)
    return fig


def table2_column(panel, x, kappa, owner, group, transform):
    """A box of all our operands, one without weights, and the paper's five numbers beside them."""
    others = kappa[owner % 3 != 0]
    for shift, values, colour in ((-0.28, kappa, BLUE), (-0.02, others, ORANGE)):
        if not len(values):
            continue
        low, q1, median, q3, high = np.quantile(values, (0, 0.25, 0.5, 0.75, 1))
        panel.plot([x + shift] * 2, [low, high], "-", color=colour, linewidth=1)
        panel.bar(x + shift, q3 - q1, 0.2, q1, color=colour, alpha=0.4, linewidth=0)
        panel.plot([x + shift - 0.1, x + shift + 0.1], [median] * 2, "-", color=colour, linewidth=1.2)
    for statistic, marker in {"min": "v", "q1": "_", "median": "D", "q3": "_", "max": "^"}.items():
        value = references("table2")[f"kappa[transform={transform},group={group},statistic={statistic}]"]["value"]
        panel.plot(x + 0.24, value, **hollow(BLACK, marker, 5 if marker != "_" else 9))


# ------------------------------------------------------------------------------------------------------------------ kl

FORMATS = {"mxint8": "MXINT8", "mxfp8_e4m3": "MXFP8", "mxint6": "MXINT6", "mxfp6_e2m3": "MXFP6", "mxint4": "MXINT4", "mxfp4": "MXFP4", "nvint4": "NVINT4", "nvfp4": "NVFP4"}


def published_models():
    """{(table, transform, format): values of the twelve models}, in one order of the models."""
    found = {}
    for line in (REFERENCE / "int_vs_fp_direct_cast.tsv").read_text(encoding="utf-8").splitlines():
        if not line.startswith(("#", "table\t")):
            table, transform, fmt, _, value = line.split("\t")
            found.setdefault(("kl" if "KL" in table else "ppl", transform, fmt), []).append(float(value))
    return {key: np.array(values) for key, values in found.items()}


def ours(results, quantity):
    """(value, low, high) of a report row; NaN where it was not run."""
    row = next((r for r in results.report if r["quantity"] == quantity), None)
    if row is None or row["ours"] is None:
        return np.nan, np.nan, np.nan
    return (row["ours"], *(row["interval"] or (row["ours"], row["ours"])))


def point(panel, x, estimate, colour, marker, label=None):
    value, low, high = estimate
    if np.isfinite(value):
        panel.plot([x, x], [low, high], "-", color=colour, linewidth=1.2, zorder=4)
        panel.plot(x, value, marker, color=colour, markersize=5, markeredgecolor="white", markeredgewidth=0.6, zorder=5, label=label)


def kl(results):
    """KL, who wins and the loss of perplexity, beside the twelve models of the paper."""
    models = published_models()
    fig, axes = style.figure(2, 2, PAGE, 5.6, gridspec_kw={"width_ratios": (1.25, 1)})
    shifts = {"id": (-0.22, BLACK, "o", "no rotation"), "had": (0.0, GREEN, "s", "Hadamard"), "rhad": (0.22, ORANGE, "^", "random Hadamard")}
    for panel, quantity, table, label in ((axes[0, 0], "kl_nats", "kl", "KL(reference ‖ quantised), top 25\n(nats per token)"), (axes[1, 0], "log_perplexity_ratio", "ppl", "ln(perplexity / unquantised)")):
        for x, fmt in enumerate(FORMATS):
            for transform, (shift, colour, marker, _) in shifts.items():
                if (table, transform, fmt) in models:
                    values = models[table, transform, fmt]
                    values = 25e-6 * values if table == "kl" else np.log(values / models["ppl", "id", "bf16"])
                    panel.plot(np.full(len(values), x + shift - 0.07), values, **dict(hollow(colour, "o", 2.6), markeredgewidth=0.5, alpha=0.55))
                point(panel, x + shift + 0.05, ours(results, f"{quantity}[format={fmt},transform={transform}]"), colour, marker)
        panel.set_yscale("log") if table == "kl" else panel.set_yscale("symlog", linthresh=0.01, linscale=0.6)
        panel.set_xticks(range(len(FORMATS)), FORMATS.values(), rotation=30, ha="right", rotation_mode="anchor")
        panel.set_ylabel(label)
        for edge in (1.5, 3.5, 5.5):
            panel.axvline(edge, color="#BBBBBB", linewidth=0.6)
        panel.grid(axis="x", visible=False)
    axes[1, 0].axhline(0, color=BLACK, linewidth=0.6)
    kl_ratios(axes[0, 1], results, models, shifts)
    kl_perplexities(axes[1, 1], results, shifts)
    handles = [axes[0, 0].plot([], [], marker, color=colour, markeredgecolor="white")[0] for _, colour, marker, _ in shifts.values()] + [axes[0, 0].plot([], [], **hollow(GREY, "o", 3))[0], axes[0, 1].bar(0, 0, color="#DDDDDD")]
    style.legend_below(fig, handles, [f"ours, {name}" for *_, name in shifts.values()] + ["paper, one of 12 models", "expected"], 5)
    reference = ours(results, "perplexity[format=none]")[0]
    params = results.params
    note = f"{str(params['model']).rsplit('/', 1)[-1]}, {params['windows']} × {params['context']} tokens, unquantised perplexity {reference:.2f}" if np.isfinite(reference) else "not run: the model is not there (hollow: the paper)"
    fig.suptitle(note.replace("smollm2-135m", "SmolLM2-135M (weights on a Q4_1 grid)"), fontsize=8)
    return fig


def kl_ratios(panel, results, models, shifts):
    """KL of INT over KL of FP with the expected bands; below 1 INT wins."""
    expected = references("kl")
    for x, (pair, (integer, floating)) in enumerate(PAIR_FORMATS.items()):
        for transform, (shift, colour, marker, _) in shifts.items():
            quantity = f"kl_ratio[pair={pair},transform={transform}]"
            if quantity in expected:
                low, high = expected[quantity]["low"], expected[quantity]["high"]
                panel.bar(x + shift, high - low, 0.2, low, color="#DDDDDD", zorder=1)
                ratios = models["kl", transform, integer] / models["kl", transform, floating]
                panel.plot(np.full(len(ratios), x + shift - 0.04), ratios, **dict(hollow(colour, "o", 2.6), markeredgewidth=0.5, alpha=0.55))
            point(panel, x + shift + 0.04, ours(results, quantity), colour, marker)
    panel.axhline(1, color=BLACK, linewidth=0.6)
    panel.set_yscale("log")
    panel.set_yticks([0.1, 0.2, 0.5, 1, 2, 4], ["0.1", "0.2", "0.5", "1", "2", "4"])
    panel.set_yticks([], minor=True)
    panel.set_xticks(range(len(PAIRS)), [name.replace(" / ", "\n/ ") for name in PAIRS.values()])
    panel.set_ylabel("KL of INT / KL of FP (below 1: INT wins)")
    panel.grid(axis="x", visible=False)


def kl_perplexities(panel, results, shifts):
    """Our perplexities as numbers: the table."""
    panel.set_axis_off()
    cells = [[f"{ours(results, f'perplexity[format={fmt},transform={t}]')[0]:.2f}" for t in shifts] for fmt in FORMATS]
    cells = [[c if c != "nan" else "–" for c in row] for row in cells]
    reference = ours(results, "perplexity[format=none]")[0]
    cells.insert(0, [f"{reference:.2f}" if np.isfinite(reference) else "–", "", ""])
    table = panel.table(cells, rowLabels=["unquantised", *FORMATS.values()], colLabels=["no rotation", "Hadamard", "random H."], loc="center", cellLoc="right", edges="horizontal")
    table.auto_set_font_size(False)
    table.set_fontsize(7)
    table.scale(0.85, 1.15)
    for cell in table.get_celld().values():
        cell.set_linewidth(0.4)
    panel.set_title("our perplexity", fontsize=8)
