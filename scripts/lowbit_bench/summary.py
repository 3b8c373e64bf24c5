"""A run as a document: how it was measured, the limits, the rows."""

HOW = """# Speed beside the memory limit

Written by `scripts/bench -o DIR` ({cpu}, kernels for {kernel}, Highway {highway}, L2 of {l2} KiB). Ratios compare what ran within the
same second on the same memory; absolute figures hold for that machine and hour alone.

- A **limit** is the fastest of all variants tried for a traffic pattern that do nothing but move the memory: plain and streaming
  stores, five prefetch distances, prefetching for writing, libc, halves or pieces of 1 MiB for the threads. In place is a
  multiplication by 1.
- Case and limit alternate, pair by pair; the ratio (limit time / case time) is the median over at least {pairs} pairs, its quartiles stand
  beside it. Pairs whose limit strays by more than 15 % from the median limit, or during which other processes used more than a quarter
  of a processor, are dropped and counted.
- "load" is what other processes used of the processors during a row. Where no pair was free of them, the pairs with a steady limit
  count all the same and the row is marked "disturbed": it shows that the case runs, and no verdict is given.
- Values: N(0, 1), float32, {memory}, on pages of 2 MiB unless "plain" says otherwise. L2: in and out together half of the L2 of each
  core. Speeds in 10^9 values a second.
- "two passes" (second-level scales): a read, then a copy. "over steps": transform and quantiser one after the other in place of a limit.
"""


def limits(result):
    lines = ["## Limits", "", "| pattern | memory | pages | threads | GB/s | over memcpy of as many threads | fastest variant |", "|---|---|---|---|---|---|---|"]
    for t in result["limits"]:
        if t["fastest"]:
            lines.append(f"| {t['pattern']} | {t['memory']} | {t['pages']} | {t['threads']} | {t['gb_per_s']:.1f} | {t['to_memcpy']:.2f} | {t['variant']} |")
    return lines


def verdict(row):
    if row["met"] is None:
        return ""
    if row["foreign_cores"] > 0.25:
        return f"{row['target']:.2f} disturbed"
    return f"{row['target']:.2f} {'met' if row['met'] else '**missed**'}"


def rows(result):
    lines = ["## Cases", "", "| case | format | threads | memory | place | pages | Ge/s | limit | ratio (quartiles) | over memcpy | pairs (dropped) | load | target |",
             "|---|---|---|---|---|---|---|---|---|---|---|---|---|"]
    for r in result["rows"]:
        low, high = r["ratio_quartiles"]
        lines.append(f"| {r['case']} | {r['format']} | {r['threads']} | {r['memory']} | {r['place']} | {r['pages']} | {r['ge_per_s']:.2f} | {r['limit_ge_per_s']:.2f} "
                     f"| {r['ratio']:.2f} ({low:.2f} {high:.2f}) | {r['ratio_memcpy']:.2f} | {r['pairs']} ({r['dropped']}) | {r['foreign_cores']:.2f} | {verdict(r)} |")
    return lines


def analyze(result):
    lines = []
    for name, row in (result.get("analyze") or {}).items():
        if name.startswith("threads_"):
            lines.append(f"- {name[8:]} thread(s): {row['analyze_s']:.2f} s for {result['analyze']['formats']} formats on {result['analyze']['mib']} MiB, reading the file eight "
                         f"times (one thread, page cache) {row['read_8_times_s']:.2f} s: ratio {row['ratio']:.2f}, at most {row['target']} wanted")
    return ["## `lowbit analyze`", "", *lines] if lines else []


def markdown(result):
    machine = result["machine"]
    memory = ", ".join(sorted({r["memory"] for r in result["rows"]}))
    head = HOW.format(cpu=machine["cpu"], kernel=machine["kernel"], highway=machine["highway"], l2=machine["l2_bytes"] // 1024, memory=memory,
                      pairs=min(r["pairs"] for r in result["rows"]))
    return "\n".join([head, *limits(result), "", *rows(result), "", *analyze(result)]).rstrip() + "\n"
