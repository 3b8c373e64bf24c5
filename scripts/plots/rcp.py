"""Figures of early exit from reasoning (arXiv:2508.17627) from the results of build/bin/rcp: one function per experiment.

Each function takes what lowbit_results.open returns and returns a matplotlib figure. All traces are simulated, and every figure
says so. Published values are hollow diamonds; controllers, which see the whole trace, are hollow circles.
"""

import numpy as np
from matplotlib.ticker import NullLocator

from . import style
from .rcp_common import COLOURS, NAMES, PROFILES, coordinates, error_bar, family, upper_hull, parameter, published, say_simulated
from .style import BLACK, BLUE, GREEN, GREY, ORANGE, PAGE, PURPLE, RED, SKY, hollow

STAGE_COLOURS = {1: "#F6E8C3", 2: "#D9EAD3", 3: "#D6E6F4"}
MAIN_END = {"tokens": 25000, "compression": 120, "accuracy": 100, "rpcr": 100}  # larger values are arrows
MAIN_TICKS = {"tokens": ([0, 20000], ["0", "20 000"]), "compression": ([0, 50, 100],), "accuracy": ([25, 50, 75],), "rpcr": ([0, 25, 50, 75],)}
METHODS = {"full": "Full", "no-think": "No-Think", "budget-matched": "BF", "deer": "DEER", "rcpd": "RCPD"}


def main(result):
    """The main table: tokens, compression, accuracy and accuracy for its cost of every rule, ours beside the published values."""
    profiles, detectors = coordinates(result, "profile"), coordinates(result, "detector")
    fig, axes = style.figure(1, 4, PAGE, 1.0 + 0.155 * len(profiles) * (len(detectors) + 1), sharey=True)
    columns = (("tokens", "tokens, mean", "{:.0f}", (0, 40000)), ("compression", "tokens / full (%)", "{:.1f}", (0, 190)), ("accuracy", "accuracy (%)", "{:.1f}", (15, 125)), ("rpcr", "RPCR (points/10$^4$)", "{:.1f}", (-4, 140)))
    ticks, labels = [], []
    for block, profile in enumerate(profiles):
        top = block * (len(detectors) + 1.6)
        axes[0, 0].text(-0.02, top - 0.9, PROFILES.get(profile, profile), transform=axes[0, 0].get_yaxis_transform(), ha="right", va="center", fontsize=7, fontweight="bold")
        for i, detector in enumerate(detectors):
            y = top + i
            ticks.append(y)
            labels.append(NAMES.get(detector, detector))
            for panel, (output, _, form, _) in zip(axes[0], columns):
                main_cell(panel, result, output, profile, detector, y, form)
    for panel, (output, label, _, limits) in zip(axes[0], columns):
        panel.set(xlabel=label, xlim=limits)
        panel.set_xticks(*MAIN_TICKS[output])
        panel.grid(axis="y", visible=False)
    axes[0, 0].set_yticks(ticks, labels, fontsize=6)
    axes[0, 0].set_ylim(max(ticks) + 0.8, -1.7)
    axes[0, 0].plot([], [], "o", color=BLACK, markersize=3.5, label="simulated, 95 % interval")
    axes[0, 0].plot([], [], **hollow(BLACK, "o", 4), label="simulated, offline controller (sees the whole trace)")
    axes[0, 0].plot([], [], **hollow(BLACK, "D", 4.5), label="published; at the right: ours / published")
    style.legend_below(fig, *axes[0, 0].get_legend_handles_labels(), 3)
    return say_simulated(fig, "stopping rules; Full and RCPD fitted to the published table", result)


def main_value(result, output, at):
    """A number of the table; RPCR = 10^4 (accuracy - no-think accuracy) / tokens."""
    if output != "rpcr":
        return float(result[output].sel(at))
    gain = float(result["accuracy"].sel(at)) - float(result["accuracy"].sel(at | {"detector": "no-think"}))
    return 1e4 * gain / float(result["tokens"].sel(at))


def main_published(result, output, profile, detector):
    """The paper's number, or None; its RPCR follows from its other columns."""
    def row(method, name):
        return published(result, f"{profile} {method}, published {name}")
    if output != "rpcr":
        return row(METHODS.get(detector), "CR" if output == "compression" else output)
    accuracy, tokens, base = row(METHODS.get(detector), "accuracy"), row(METHODS.get(detector), "tokens"), row("No-Think", "accuracy")
    return None if None in (accuracy, tokens, base) else 1e4 * (accuracy - base) / tokens


def main_cell(panel, result, output, profile, detector, y, form):
    """One number of the table: a dot, its interval, the published diamond, and both as text."""
    at = dict(profile=profile, detector=detector)
    value = main_value(result, output, at)
    offline = detector in ("oracle", "budget-matched")
    colour = COLOURS[family(detector)]
    low, high = (float(result[f"{output}_{end}"].sel(at)) if f"{output}_{end}" in result.dataset else np.nan for end in ("low", "high"))
    if np.isfinite(low) and value <= MAIN_END[output]:
        panel.plot([low, high], [y, y], color=colour, linewidth=1)
    if value > MAIN_END[output]:  # off the panel: an arrow at its end, the number beside it
        panel.plot(0.6, y, ">", color=colour, markersize=4, transform=panel.get_yaxis_transform())
    else:
        panel.plot(value, y, **(hollow(colour, "o", 4) if offline else dict(marker="o", markersize=3.5, color=colour, linestyle="none")))
    paper = main_published(result, output, profile, detector)
    text = form.format(value)
    if paper is not None:
        panel.plot(paper, y, **hollow(BLACK, "D", 4.5))
        text += " / " + form.format(paper)
    panel.text(0.995, y, text, transform=panel.get_yaxis_transform(), ha="right", va="center", fontsize=5)


def budget(result):
    """Accuracy and content tokens against the fixed thinking budget, with DEER, RCPD and the oracle."""
    fig, axes = style.figure(1, 2, PAGE, 3.0)
    profile = coordinates(result, "profile")[0]
    fixed = {parameter(d): d for d in coordinates(result, "detector") if family(d) == "budget"}
    fixed = {0: "no-think", **dict(sorted(fixed.items()))}
    at = dict(profile=profile)
    for panel, output, label in zip(axes[0], ("accuracy", "content_tokens"), ("accuracy (%)", "tokens of the answer text, mean")):
        values = [float(result[output].sel(detector=d, **at)) for d in fixed.values()]
        panel.plot(list(fixed), values, "o-", color=COLOURS["budget"], markersize=3, label="fixed budget")
        if output == "accuracy":
            ends = [[float(result[f"accuracy_{e}"].sel(detector=d, **at)) for d in fixed.values()] for e in ("low", "high")]
            panel.fill_between(list(fixed), *ends, color=COLOURS["budget"], alpha=0.25, linewidth=0)
        for detector, marker in (("deer", "s"), ("rcpd", "^")):
            panel.plot(float(result["think_tokens"].sel(detector=detector, **at)), float(result[output].sel(detector=detector, **at)), marker, color=COLOURS[detector], markersize=6, label=NAMES[detector], zorder=4)
        panel.plot(float(result["think_tokens"].sel(detector="oracle", **at)), float(result[output].sel(detector="oracle", **at)), **hollow(COLOURS["oracle"], "o", 6), label=NAMES["oracle"], zorder=4)
        table = result.reference["forced_budget"]
        panel.plot(table["budget"], table[output], **hollow(BLACK, "D", 5), label="published, 30 items, read off")
        panel.set(xlabel="thinking tokens (budget; others: mean)", ylabel=label)
    axes[0, 0].set_ylim(0, 100)
    axes[0, 1].set_ylim(0, None)
    style.legend_below(fig, *axes[0, 0].get_legend_handles_labels(), 5)
    return say_simulated(fig, f"forced thinking budgets, {PROFILES.get(profile, profile)}", result)


def trace(result):
    """Rank of the end token with the stages, and content length against thinking length, of single traces."""
    numbers = [int(v) for v in result["trace"].values]
    profile = coordinates(result, "profile")[0]
    fig, axes = style.figure(2, len(numbers), PAGE, 4.4, sharey="row")
    for column, number in enumerate(numbers):
        one = {name: result[name].sel(profile=profile, trace=number) for name in ("rank", "stage", "content_tokens", "right", "k_rcp", "rcpd_stop", "sentences")}
        length = int(one["sentences"])
        k = np.arange(1, length + 1)
        upper, lower = axes[0, column], axes[1, column]
        stage = one["stage"].values[:length]
        for value, colour in STAGE_COLOURS.items():
            inside = np.flatnonzero(stage == value)
            if len(inside):
                upper.axvspan(inside[0] + 0.5, inside[-1] + 1.5, color=colour, linewidth=0, label=f"stage {value}")
        upper.plot(k, one["rank"].values[:length], color=BLUE, linewidth=0.6, label="rank at the sentence's end")
        upper.set_yscale("log")
        upper.axhline(5, color=GREY, linewidth=0.6, linestyle=":")
        right = one["right"].values[:length] == 1
        content = one["content_tokens"].values[:length]
        lower.plot(k[right], content[right], ".", color=GREEN, markersize=2, label="forced answer right")
        lower.plot(k[~right], content[~right], ".", color=RED, markersize=2, label="forced answer wrong")
        for panel in (upper, lower):
            panel.axvline(float(one["k_rcp"]), color=BLACK, linewidth=1, label="completion point")
            panel.axvline(float(one["rcpd_stop"]), color=ORANGE, linewidth=1, linestyle="--", label="RCPD stops")
        upper.set_title(f"trace {number}")
        lower.set_xlabel("sentence $L_t$")
        lower.set_ylim(0, None)
    axes[0, 0].set_ylabel("rank of the end token $R_t$")
    axes[1, 0].set_ylabel("content length $L_c$ (tokens)")
    handles = dict(zip(*reversed(axes[0, 0].get_legend_handles_labels())))
    handles.update(zip(*reversed(axes[1, 0].get_legend_handles_labels())))
    style.legend_below(fig, handles.values(), handles.keys(), 4)
    return say_simulated(fig, f"single traces, {PROFILES.get(profile, profile)}; stages and answers are the generator's", result)


RULES = {"rcpd:rules=1": "$C_{sat}$ alone", "rcpd:rules=2": "$C_{conv}$ alone", "rcpd:rules=4": "$C_{short}$ alone", "rcpd:rules=8": "$C_{long}$ alone",
         "rcpd:rules=14": "without $C_{sat}$", "rcpd:rules=13": "without $C_{conv}$", "rcpd:rules=11": "without $C_{short}$", "rcpd:rules=7": "without $C_{long}$",
         "rcpd": "all four (RCPD)", "rank": "top 5 at sentence ends", "rank:at=1": "$R = 1$ alone"}
RULE_ROWS = {"rcpd:rules=1": "C_sat alone", "rcpd:rules=2": "C_conv alone", "rcpd:rules=4": "C_short alone", "rcpd:rules=8": "C_long alone", "rcpd": "all four rules", "rank:at=1": "R = 1 alone"}


def ablation(result):
    """Rules one by one and left out: tokens, accuracy, early stops, delay."""
    detectors = coordinates(result, "detector")
    profile = coordinates(result, "profile")[0]
    fig, axes = style.figure(1, 4, PAGE, 3.2, sharey=True)
    panels = (("tokens", "tokens", "tokens"), ("accuracy", "accuracy (%)", "accuracy"), ("early_share", "stopped early (%)", "early stops"), ("delay_mean", "mean delay (sentences)", "mean delay"))
    for panel, (output, label, row) in zip(axes[0], panels):
        for y, detector in enumerate(detectors):
            at = dict(profile=profile, detector=detector)
            panel.plot(float(result[output].sel(at)), y, "o", color=BLUE)
            if f"{output}_low" in result.dataset:
                panel.plot([float(result[f"{output}_{e}"].sel(at)) for e in ("low", "high")], [y, y], color=BLUE)
            reference = published(result, f"{RULE_ROWS.get(detector)} {row}")
            if reference is not None:
                panel.plot(reference, y, **hollow(GREY, "s", 6))
            if detector == "rank" and output == "accuracy":
                panel.plot(published(result, "top-5 rule at sentence ends, published"), y, **hollow(BLACK, "D", 5))
        panel.set_xlabel(label)
        panel.margins(x=0.15)
    axes[0, 0].set_yticks(range(len(detectors)), [RULES.get(d, d) for d in detectors])
    axes[0, 0].invert_yaxis()
    axes[0, 0].plot([], [], "o-", color=BLUE, label="ours, 95 % interval")
    axes[0, 0].plot([], [], **hollow(GREY, "s", 6), label="calibration run of the generator")
    axes[0, 0].plot([], [], **hollow(BLACK, "D", 5), label="published (where it is evaluated is not stated)")
    style.legend_below(fig, *axes[0, 0].get_legend_handles_labels(), 3)
    return say_simulated(fig, f"RCPD's rules, {PROFILES.get(profile, profile)}", result)


def thresholds(result):
    """All thresholds of RCPD scaled together."""
    profile = coordinates(result, "profile")[0]
    scales = {parameter(d): d for d in coordinates(result, "detector")}
    fig, axes = style.figure(1, 3, PAGE, 2.6)
    panels = (("tokens", "tokens, mean per trace", "tokens"), ("accuracy", "accuracy (%)", "accuracy"), ("early_share", "stopped early (%)", None))
    for panel, (output, label, row) in zip(axes[0], panels):
        values = [float(result[output].sel(profile=profile, detector=d)) for d in scales.values()]
        panel.plot(list(scales), values, "o-", color=BLUE, label="ours")
        if row:
            error_bar(panel, result, output, profile, scales)
            panel.plot(list(scales), [published(result, f"scale {s:g} {row}") for s in scales], **hollow(GREY, "s", 7), label="calibration run of the generator")
        panel.set_xscale("log", base=2)
        panel.set_xticks([0.25, 0.5, 1, 2, 4], ["¼", "½", "1", "2", "4"])
        panel.axvline(1, color=GREY, linewidth=0.6, linestyle=":")
        panel.set(xlabel="factor on every threshold", ylabel=label)
    style.legend_below(fig, *axes[0, 0].get_legend_handles_labels(), 2)
    return say_simulated(fig, f"thresholds of RCPD, {PROFILES.get(profile, profile)}", result)


def detection(result):
    """Precision and recall of stops within a window around the completion point."""
    profiles, detectors = coordinates(result, "profile"), coordinates(result, "detector")
    fig, axes = style.figure(1, len(profiles), PAGE, 2.7, sharex=True, sharey=True)
    for panel, profile in zip(axes[0], profiles):
        for i, detector in enumerate(detectors):
            at = dict(profile=profile, detector=detector)
            x, y = (float(result[name].sel(at)) for name in ("recall", "precision"))
            errors = [[[max(0.0, v - float(result[f"{n}_low"].sel(at)))], [max(0.0, float(result[f"{n}_high"].sel(at)) - v)]] for n, v in (("recall", x), ("precision", y))]
            panel.errorbar(x, y, errors[1], errors[0], fmt=style.MARKERS[i], color=style.COLOURS[i % len(style.COLOURS)], markersize=4, elinewidth=0.8, label=RULES.get(detector, NAMES.get(detector, detector)))
        panel.set_title(PROFILES.get(profile, profile).replace(", ", ",\n"), fontsize=7)
        panel.set(xlim=(0, 100), ylim=(0, 100))
        panel.set_xlabel("recall (%)")
    axes[0, 0].set_ylabel("precision (%)")
    style.legend_below(fig, *axes[0, 0].get_legend_handles_labels(), 5)
    return say_simulated(fig, f"stops within ±{result.params['window']} sentences of the completion point; the paper does not report it", result)


def kv_noise(result):
    """Early stops and accuracy of RCPD under noise in the rank, Gaussian and as measured on a quantised KV cache; what was measured."""
    profile = coordinates(result, "profile")[0]
    noise = result["noise"].values
    formats = [kv for kv in coordinates(result, "kv") if kv != "none" and np.isfinite(float(result["tokens"].sel(profile=profile, kv=kv).max()))]
    columns = max(3, len(formats))
    fig, axes = style.figure(2 if formats else 1, columns, PAGE, 5.0 if formats else 2.6, sharey="row" if formats else False)
    grid = axes[0, 0].get_gridspec()
    for panel in axes[0]:
        panel.remove()
    edges = np.linspace(0, columns, 4).round().astype(int)
    top = [fig.add_subplot(grid[0, left:right]) for left, right in zip(edges, edges[1:])]
    gaussian, measured = dict(profile=profile, kv="none"), [dict(profile=profile, kv=kv) for kv in formats]
    shades = style.plt.get_cmap("plasma")(np.linspace(0.05, 0.85, max(1, len(formats))))
    panels = (("early_share", "stopped early (%)", "early stops"), ("accuracy", "accuracy (%)", "accuracy"), ("tokens", "tokens, mean per trace", None))
    for panel, (output, label, row) in zip(top, panels):
        panel.plot(noise, result[output].sel(gaussian), "o-", color=BLUE, label="Gaussian noise, independent")
        if f"{output}_low" in result.dataset:
            panel.fill_between(noise, *(result[f"{output}_{e}"].sel(gaussian) for e in ("low", "high")), color=BLUE, alpha=0.25, linewidth=0)
        if row:
            panel.plot(noise, [np.nan if (v := published(result, f"rank noise {s:g} {row}")) is None else v for s in noise], **hollow(GREY, "s", 7), label="independent run, 6,000 traces")
        points = sorted((float(result["change_sd"].sel(at).max()), float(result[output].sel(at).max())) for at in measured)
        if points:
            panel.plot(*zip(*points), "--", color=GREY, linewidth=0.8, zorder=1)
        for i, at in enumerate(measured):
            panel.plot(float(result["change_sd"].sel(at).max()), float(result[output].sel(at).max()), style.MARKERS[i + 1], color=shades[i], markersize=5, label=f"measured, KV {at['kv']}", zorder=4)
        panel.set(xlabel="sd of the change of log$_{10} R_t$", ylabel=label, ylim=(0, None))
    for i, at in enumerate(measured):
        change_panel(axes[1, i], result, at, shades[i])
    for panel in axes[1:].flat:
        panel.set_visible(panel.has_data())
    if formats:
        axes[1, 0].set_ylabel("change of log$_{10} R_t$")
    style.legend_below(fig, *top[0].get_legend_handles_labels(), 3)
    below = "" if not formats else "\nbelow: change of the rank as measured" + ("" if result.params["change_file"] else " on SmolLM2-135M reading a novel (rank of the newline token)")
    return say_simulated(fig, f"RCPD with a noisy rank, {PROFILES.get(profile, profile)}", result, below)


def change_panel(panel, result, at, colour):
    """Quantiles of the measured change in each bin of the unchanged rank."""
    def one(name):
        values = result[name].sel(at).sel(noise=0)
        return values.values
    start, stop = one("change_from"), one("change_to")
    there = np.isfinite(start)
    quantiles = dict(zip(np.round(result["quantile"].values, 2), one("change").T[:, there]))
    middle, width = (start[there] + stop[there]) / 2, (stop[there] - start[there]) * 0.8
    panel.bar(middle, quantiles[0.95] - quantiles[0.05], width, quantiles[0.05], color=colour, alpha=0.3, linewidth=0)
    panel.bar(middle, quantiles[0.75] - quantiles[0.25], width, quantiles[0.25], color=colour, alpha=0.6, linewidth=0)
    panel.plot(middle, quantiles[0.5], "_", color=BLACK, markersize=9)
    panel.axhline(0, color=BLACK, linewidth=0.5)
    panel.set_title(f"{at['kv'].partition(':')[0]}: sd {float(result['change_sd'].sel(at).max()):.2f},\nlag-1 corr. {float(result['change_lag1'].sel(at).max()):.2f}", fontsize=6)
    panel.set_xlabel("log$_{10} R_t$")


def pareto(result):
    """Accuracy against tokens of all rules, with the upper convex hull of the online ones."""
    profile = coordinates(result, "profile")[0]
    fig, axes = style.figure(1, 1, PAGE * 0.75, 3.8)
    panel = axes[0, 0]
    points = {}
    for detector in coordinates(result, "detector"):
        at = dict(profile=profile, detector=detector)
        points[detector] = tuple(float(result[name].sel(at)) for name in ("tokens", "accuracy"))
    missing = [d for d, point in points.items() if not np.isfinite(point[1])]
    points = {d: point for d, point in points.items() if d not in missing}
    groups = {}
    for detector, point in points.items():
        groups.setdefault(family(detector), []).append(point)
    for i, (name, members) in enumerate(groups.items()):
        members.sort()
        x, y = zip(*members)
        if name == "oracle":
            panel.plot(x, y, **hollow(COLOURS[name], "o", 7), label=NAMES[name])
        else:
            panel.plot(x, y, "-" if len(members) > 1 else "", marker=style.MARKERS[i], color=COLOURS[name], linewidth=0.7, markersize=4, label=NAMES[name])
    hull = upper_hull([p for d, p in points.items() if d != "oracle"])
    panel.plot(*zip(*hull), color=BLACK, linewidth=0.8, linestyle=(0, (4, 2)), label="convex hull of the online rules", zorder=1)
    panel.set_xscale("log")
    ticks = [5000, 10000, 20000, 50000, 100000, 200000]
    panel.set_xticks(ticks, [f"{t:,}" for t in ticks])
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set(xlabel="tokens, mean per trace (thinking + probes + answer)", ylabel="accuracy (%)")
    panel.legend(loc="upper right", bbox_to_anchor=(1, 0.85))
    if missing:
        panel.text(0.99, 0.02, "not available on simulated traces: " + ", ".join(missing), transform=panel.transAxes, ha="right", va="bottom", fontsize=6, color=GREY)
    return say_simulated(fig, f"all stopping rules, {PROFILES.get(profile, profile)}", result)


def fit(result):
    """The tree learned on one profile, beside RCPD on all, and what it looks at."""
    profiles = coordinates(result, "profile")
    train = coordinates(result, "train")[0]
    fig, axes = style.figure(1, 3, PAGE, 2.6, gridspec_kw={"width_ratios": (1, 1, 0.8)})
    for panel, output, label, level in zip(axes[0], ("over_rcpd", "tokens_to_rcpd"), ("accuracy above RCPD's (points)", "tokens / RCPD's tokens"), (0, 1)):
        for y, profile in enumerate(profiles):
            value, low, high = (float(result[f"{output}{end}"].sel(train=train, profile=profile)) for end in ("", "_low", "_high"))
            colour = GREY if profile == train else PURPLE
            panel.plot([low, high], [y, y], color=colour)
            panel.plot(value, y, "o", color=colour)
        panel.axvline(level, color=BLACK, linewidth=0.6)
        panel.set_xlabel(label)
        panel.set_yticks(range(len(profiles)), [PROFILES.get(p, p) for p in profiles] if output == "over_rcpd" else [""] * len(profiles))
        panel.invert_yaxis()
    importance = result["importance"].sel(train=train, profile=profiles[0])
    back = result["back"].values.astype(int)
    axes[0, 2].bar(back, importance, color=SKY)
    axes[0, 2].set_xticks(back, ["$R_t$"] + [f"$R_{{t-{b}}}$" for b in back[1:]], fontsize=6)
    axes[0, 2].set_ylabel("share of the impurity removed")
    return say_simulated(fig, f"decision tree trained on {PROFILES.get(train, train)} (grey: other traces of it)", result)


def recorded(result):
    """What rules save and cost on recorded traces; accuracy with the bounds that unknown outcomes leave."""
    fig, axes = style.figure(1, 2, PAGE, 4.2, sharey=True)
    if result.status == "not_run":
        for panel in axes[0]:
            style.empty_panel(panel, "no recorded traces: rcp recorded --traces-file FILE")
        return fig
    detectors = coordinates(result, "detector")
    labels = []
    for y, detector in enumerate(detectors):
        one = {name: float(result[name].sel(detector=detector)) for name in result.dataset.data_vars}
        available = int(one["traces_available"])
        labels.append(f"{RULES.get(detector, NAMES.get(detector, detector))}  ({available})")
        if available == 0:
            axes[0, 0].text(0.02, y, "not available", transform=axes[0, 0].get_yaxis_transform(), va="center", fontsize=6, color=GREY)
            continue
        marker = hollow(RED, "o", 5) if detector == "oracle" else dict(marker="o", color=BLUE)
        for panel, output in zip(axes[0], ("think_share", "accuracy")):
            if one[output] > 160:  # off the panel
                panel.plot(0.98, y, ">", color=BLUE, transform=panel.get_yaxis_transform())
                panel.text(0.95, y, f"{one[output]:.0f}", transform=panel.get_yaxis_transform(), ha="right", va="center", fontsize=6)
                continue
            panel.plot([one[f"{output}_low"], one[f"{output}_high"]], [y, y], color=BLUE)
            panel.plot(one[output], y, **marker)
        axes[0, 1].plot([one["accuracy_worst"], one["accuracy_best"]], [y, y], "|", color=GREY, markersize=8)
    axes[0, 0].set_yticks(range(len(detectors)), labels, fontsize=6)
    axes[0, 0].set_ylim(len(detectors) - 0.4, -0.6)
    axes[0, 0].set(xlabel="thinking, probes / full thinking (%)", xlim=(0, 160))
    axes[0, 1].set(xlabel="accuracy (%); grey: bounds over unknowns")
    made = "simulated" if float(result["traces_simulated"].max()) > 0 else "recorded"
    fig.suptitle(f"{made} traces: {result.params['traces_file'].rpartition('/')[2]}; in brackets the traces that have the rule's signals", fontsize=8)
    return fig


FIGURES = {"recorded": recorded, "main": main, "budget": budget, "trace": trace, "ablation": ablation, "thresholds": thresholds, "detection": detection, "kv_noise": kv_noise, "pareto": pareto, "fit": fit}
