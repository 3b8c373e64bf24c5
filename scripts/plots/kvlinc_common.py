"""What the figures of kvlinc share: names and colours of schemes and methods, published values, heads by kind."""

import csv
import pathlib

from .style import BLACK, BLUE, COLOURS, GREEN, GREY, ORANGE, PURPLE, RED, SKY

REFERENCE = pathlib.Path(__file__).resolve().parents[2] / "results" / "reference"

SCHEMES = {"raw_channel": ("raw\nchannel", BLUE), "had_channel": ("Had.\nchannel", SKY), "had_token": ("Had.\ntoken", GREEN), "raw_token": ("raw\ntoken", RED)}
METHODS = {
    "fp": ("unquantised", BLACK),
    "kivi": ("KIVI", BLUE),
    "kivi_pre": ("KIVI, pre-RoPE", "#56708C"),
    "quarot": ("QuaRot", RED),
    "kvlinc": ("KVLinC quantiser", GREEN),
    "kvlinc_adapters": ("KVLinC with adapters", "#1B5E3A"),
    "had_channel": ("K Had. channel, V Had. token", PURPLE),
    "per_token": ("per token", GREY),
    "gear_l": ("GEAR-L", ORANGE),
    "gear": ("GEAR", "#8C6D31"),
    "resq": ("ResQ", SKY),
    "kvquant": ("KVQuant-1%", BLACK),
    "kvquant_0": ("KVQuant-0%", GREY),
    "kvquant_post": ("KVQuant-1%, post-RoPE", "#444444"),
    "kvquant_uniform": ("uniform levels, 1%", "#AAAAAA"),
    "kvquant_percentile": ("KVQuant-1%, percentiles", "#666666"),
    "kvquant_percentile_uniform": ("uniform, percentiles", "#CCCCCC"),
    "kivi_g32": ("KIVI, G = 32", SKY),
    "kivi_g64": ("KIVI, G = 64", "#3C8DBC"),
    "kivi_g128": ("KIVI, G = 128", BLUE),
    "kivi_pre_g128": ("KIVI, pre-RoPE", "#56708C"),
    "range_post": ("one range a channel", GREY),
    "range_pre": ("one range, pre-RoPE", "#BBBBBB"),
}


def label_of(method):
    """A method's name for people; 'kivi:sinks=4' and 'k_raw_channel' too."""
    base, _, option = method.partition(":sinks=")
    if base[:2] in ("k_", "v_") and base[2:] in SCHEMES:
        return f"{base[0].upper()} alone: " + SCHEMES[base[2:]][0].replace("\n", " ")
    return METHODS.get(base, (base, ""))[0] + (f", first {option} FP" if option else "")


def colour_of(method):
    base = method.partition(":")[0]
    return METHODS[base][1] if base in METHODS else COLOURS[sum(map(ord, base)) % len(COLOURS)]


def published(figure, quantity):
    """The value of a reference row, or None."""
    path = REFERENCE / f"kvlinc.{figure}.tsv"
    if path not in _TABLES:
        lines = (line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
        _TABLES[path] = {row["quantity"]: row["value"] for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)}
    value = _TABLES[path].get(quantity)
    return float(value) if value else None


_TABLES = {}


def texts(coordinate):
    """Values of a text coordinate as str."""
    return [v.decode() if isinstance(v, bytes) else str(v) for v in coordinate.values]


def seeds(dataset):
    """Names of the drawn heads."""
    return [t for t in texts(dataset["tensor"]) if t.startswith("seed-")]


def file_heads(dataset):
    """Names of the heads of the file."""
    return [t for t in texts(dataset["tensor"]) if not t.startswith("seed-")]
