"""The results as a table and as a roofline: speed over bytes moved for each value, limits as lines, peers as hollow marks."""

from plots import style

# Measured beforehand on a similar machine (2 cores of an Intel Xeon with AVX-512, one thread, float32 in and out, 256 MiB): the
# fastest implementation found for each task, in Me/s, and memcpy's traffic on that machine in GB/s.
PEERS = (
    ("MXFP4: ggml", 167, 8), ("MXFP8: microxcaling C++", 121, 8), ("MXFP6: microxcaling C++", 102, 8),
    ("MXINT8: ggml q8_0", 226, 8), ("MXINT4: INT_vs_FP", 81, 8), ("NVINT4: INT_vs_FP", 48, 12), ("NVFP4: ggml", 47, 12),
    ("to packed 8 bit: ggml q8_0, AVX", 2634, 4), ("to packed 4 bit: ggml q4_0", 425, 4), ("Hadamard 128: FFHT", 3097, 8),
)
BYTES = {"read": 4, "write": 4, "out": 8, "in": 8}
COLOURS = {"fake_quantize": style.BLUE, "encode": style.RED, "decode": style.PURPLE, "hadamard": style.GREEN}


def bytes_a_value(row):
    """Memory traffic of a value: what the row says, a read more for a second pass."""
    return BYTES.get(row["place"], 8) + (4 if row["limit"].startswith("read (") else 0)


def colour(row):
    return next((c for name, c in COLOURS.items() if row["case"].startswith(name)), style.ORANGE)


def in_memory(result, threads):
    """Rows that are held against traffic of the memory, not against other code ("over ...")."""
    return [r for r in result["rows"]
            if r["memory"] != "L2" and r["threads"] == threads and r["pages"] == "huge" and " over " not in r["case"]]


def peer_marks():
    """(speed, bytes, label) of each peer; those that would lie upon each other share a label."""
    marks = []
    for name, speed, traffic in PEERS:
        if marks and marks[-1][1] == traffic and abs(speed / marks[-1][0] - 1) < 0.05:
            marks[-1][2] += f"\n{name}"
        else:
            marks.append([speed, traffic, name])
    return marks


def panel(axes, result, threads):
    rows = in_memory(result, threads)
    for row in rows:
        x = bytes_a_value(row)
        axes.plot(x, row["ge_per_s"], marker="o" if row["place"] == "out" else "s", color=colour(row), alpha=0.7)
        axes.plot(x, row["limit_ge_per_s"], marker="_", markersize=14, color=style.BLACK)
    if threads == 1:
        for speed, traffic, name in peer_marks():
            axes.plot(traffic, speed / 1000, **style.hollow(style.GREY))
            axes.annotate(name, (traffic, speed / 1000), xytext=(4, -2), textcoords="offset points", fontsize=4.5, color=style.GREY)
    axes.set(xscale="log", yscale="log", xlabel="bytes moved a value", ylabel="values, Ge/s", title=f"{threads} thread{'s' * (threads > 1)}")
    axes.set_xlim(3.3, 18)
    axes.set_xticks([4, 8, 12], ["4", "8", "12"])
    axes.set_xticks([], minor=True)


def draw(result, stem):
    """Writes STEM.png, .svg and .pdf."""
    threads = sorted({r["threads"] for r in result["rows"]})
    fig, axes = style.figure(1, len(threads), height=3.4, sharey=True)
    for axis, count in zip(axes[0], threads):
        panel(axis, result, count)
    handles = [axes[0][0].plot([], [], marker="o", linestyle="", color=c)[0] for c in COLOURS.values()]
    labels = list(COLOURS)
    handles.append(axes[0][0].plot([], [], marker="_", markersize=14, linestyle="", color=style.BLACK)[0])
    labels.append("limit: the fastest traffic of the kind")
    handles.append(axes[0][0].plot([], [], **style.hollow(style.GREY))[0])
    labels.append("other implementations, measured beforehand on a similar machine")
    style.legend_below(fig, handles, labels, 3)
    return style.save(fig, stem)


def table(result):
    """Aligned text: a line a row, then `analyze`."""
    head = ("case", "format", "threads", "memory", "place", "pages", "Ge/s", "limit", "ratio", "target")
    lines = [head] + [
        (r["case"], r["format"], str(r["threads"]), r["memory"], r["place"], r["pages"], f"{r['ge_per_s']:.3f}",
         f"{r['limit_ge_per_s']:.3f}", f"{r['ratio']:.3f}", "" if r["met"] is None else f"{'met' if r['met'] else 'MISSES'} {r['target']:.2f}")
        for r in result["rows"]
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    text = "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)
    for name, row in (result.get("analyze") or {}).items():
        if name.startswith("threads_"):
            text += f"\nanalyze, 8 formats, {result['analyze']['mib']} MiB, {name[8:]} threads: {row['analyze_s']} s, reading 8 times {row['read_8_times_s']} s, ratio {row['ratio']} (at most 3)"
    return text
