"""What the figures of rcp share: names and colours of rules and profiles, published rows, the hull, the title."""

from .style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY

PROFILES = {
    "qwen3-8b": "Qwen3-8B",
    "qwen3-14b": "Qwen3-14B",
    "qwen3-30b-a3b": "Qwen3-30B-A3B",
    "qwen3-32b": "Qwen3-32B",
    "r1-distill-8b": "R1-Distill-8B",
    "qwen3-8b-gpqa": "Qwen3-8B, GPQA-like",
}
NAMES = {
    "full": "Full",
    "no-think": "No-Think",
    "budget": "fixed budget",
    "budget-matched": "budget matched to RCPD",
    "deer": "DEER",
    "consistency": "answer consistency",
    "rank": "rank ≤ 5",
    "probability": "probability",
    "rcpd": "RCPD",
    "oracle": "oracle at the completion point",
}
COLOURS = {
    "full": BLACK,
    "no-think": GREY,
    "budget": ORANGE,
    "budget-matched": ORANGE,
    "deer": GREEN,
    "consistency": SKY,
    "rank": PURPLE,
    "probability": "#8C6D31",
    "rcpd": BLUE,
    "oracle": RED,
}


def family(detector):
    """'rcpd:scale=0.5' -> 'rcpd'."""
    return detector.partition(":")[0]


def parameter(detector):
    """'rcpd:scale=0.5' -> 0.5."""
    return float(detector.rpartition("=")[2])


def coordinates(result, name):
    return [str(v) for v in result[name].values]


def published(result, quantity):
    """Reference of a report row, or None where there is no such row or it has none."""
    for row in result.report:
        if row["quantity"] == quantity:
            return row["reference"]
    return None


def error_bar(panel, result, output, profile, detectors):
    """95 % intervals of {x: detector} as a band."""
    low, high = ([float(result[f"{output}_{end}"].sel(profile=profile, detector=d)) for d in detectors.values()] for end in ("low", "high"))
    panel.fill_between(list(detectors), low, high, color=BLUE, alpha=0.25, linewidth=0)


def upper_hull(points):
    """Upper convex hull from the cheapest point to the best one: what mixtures of rules reach."""
    hull = []
    for point in sorted(set(points)):
        if hull and point[1] <= max(p[1] for p in hull):
            continue
        while len(hull) > 1 and cross(hull[-2], hull[-1], point) >= 0:
            hull.pop()
        hull.append(point)
    return hull


def cross(a, b, c):
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def say_simulated(fig, text, result, more=""):
    """Every figure of the generator says what it is; `more` comes behind."""
    traces = result.params.get("traces")
    fig.suptitle(f"simulated: {text}" + (f" ({traces:,} traces per profile)" if traces else "") + more, fontsize=8)
    return fig
