"""Vectors that hold formats/block to an oracle in exact rationals, sharing no code with it.

    python3 scripts/oracle/blocks.py                     # writes tests/vectors/blocks/{inputs,digests,worked}.tsv
    python3 scripts/oracle/blocks.py --show FORMAT INPUT # what the oracle expects, value by value

inputs.tsv:  name, float32 bits in hex (comma-separated).
digests.tsv: format, digests of the split form, digests of the values: 8 hex digits for each input in the order of
             inputs.tsv. FNV-1a 32 over 4-byte little-endian words: scales, zero points, tensor scale, codes
             (zero-extended from the element's bits); values as float32 bits.
worked.tsv:  format, input, tensor scale, scales, zero points, codes, values in full, all in hex.
SR: seed of the name, stream 0x1234, first index 1000003.
"""
import os
import sys

from blocks_inputs import bits, inputs
from blocks_pipeline import quantize

STREAM, FIRST = 0x1234, 1000003
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "vectors", "blocks")
MX = dict(mxfp8_e4m3="e4m3", mxfp8_e5m2="e5m2", mxfp6_e2m3="e2m3", mxfp6_e3m2="e3m2", mxfp4="e2m1", mxint8="int8",
          mxint6="int6", mxint4="int4", mxint3="int3", mxint2="int2")
BASES = {name: dict(element=e, group=32, scale="e8m0", rule="floor") for name, e in MX.items()}
BASES["nvfp4"] = dict(element="e2m1", group=16, scale="e4m3", ts="fp32")
BASES["nvint4"] = dict(element="int4", group=16, scale="e4m3", ts="fp32")
BASES["ternary"] = dict(element="ternary", group=16, scale="e4m3", rule="twn")
BASES["nf4"] = dict(element="nf4", group=64)
BASES["bnb_fp4"] = dict(element="bnb_fp4", group=64)


def parse(name):
    """The options of a name, as far as the lists below need them."""
    base, *rest = name.split(":")
    o = dict(BASES.get(base) or dict(element=base, group=None, overflow="ovf" if base in ("fp16", "bf16", "tf32") else "sat"))
    for option in rest:
        key, _, value = option.partition("=")
        if option == "s=e8m0":
            o.update(scale="e8m0", rule="floor")
        elif key[0] == "g" and key[1:].isdigit():
            o["group"] = int(key[1:])
        elif key in ("channel", "tensor"):
            o["group"] = None
        elif key in ("sat", "ovf"):
            o["overflow"] = key
        elif key in ("asym", "min"):
            o["offset"] = key
        elif key == "full":
            o["range"] = "full"
        elif key == "flush":
            o["flush"] = True
        elif key == "seed":
            o["seed"] = int(value)
        elif key == "s":
            o["scale"] = value
            o["zero"] = value if value in ("fp16", "bf16") else "fp32"
        else:
            o[dict(z="zero").get(key, key)] = None if value == "none" else value
    o["rule"] = next((r[5:] for r in rest if r.startswith("rule=")), o.get("rule", "amax"))
    if "min" in rest:  # z= given anywhere wins over the default of s=
        o["zero"] = next((r[2:] for r in rest if r.startswith("z=")), o.get("zero", "fp32"))
    return o


def format_names():
    roundings = ("", ":round=rna", ":round=rtz", ":round=rtsm")
    names = []
    for base, e in MX.items():
        rules = ("", ":rule=ceil", ":rule=ceil_pow2") + (() if e.startswith("int") else (":rule=even",))
        names += [base + rule + r for rule in rules for r in roundings]
        names += [base + ":round=sr:seed=5", base + ":nan=ignore", base + ":flush"]
        if e.startswith("int"):
            names += [base + ":full" + r for r in roundings]
    names += [b + o for b in ("mxfp8_e4m3", "mxfp8_e5m2") for o in (":ovf", ":ovf:nan=ignore", ":ovf:round=rtz")]
    for base in ("nvfp4", "nvint4"):
        names += [base + o for o in roundings + (":ts=none", ":ts=e8m0", ":round=sr:seed=9", ":nan=ignore", ":flush", ":g32", ":tensor",
                                                 ":s=ue4m3", ":s=e5m2", ":s=fp16", ":s=ue1m6", ":s=uint8")]
    names += ["nvint4:full", "e4m3:g16:s=e4m3:ts=fp32", "nf4:g16:s=fp16:ts=fp32", "bnb_fp4:g32:s=e4m3:ts=fp32"]
    for b in (2, 3, 4, 5, 6, 7, 8):
        names += [f"int{b}:g16", f"int{b}:g16:asym", f"int{b}:g16:min", f"int{b}:g32:full", f"int{b}:g32:range=pow2",
                  f"int{b}:g32:range=half"]
    for scale in ("fp16", "bf16", "e4m3", "e5m2"):
        names += [f"int4:g32:s={scale}" + o for o in ("", ":asym", ":min", ":range=half:round=rna")]
    names += ["int2:g32:min:s=fp16:z=fp16", "int4:g32:min:z=bf16", "int4:g32:min:s=e4m3:z=e4m3", "int3:g128:min", "int8:g128:asym"]
    names += [f"int4:g32{o}:{r}" for o in ("", ":asym", ":min") for r in ("round=rna", "round=rtz", "round=rtsm", "round=sr:seed=3",
                                                                         "nan=ignore", "flush")]
    names += [f"{e}:{g}" for e in ("e4m3", "e5m2", "e2m1", "e3m4", "e4m3_ieee") for g in ("g32", "channel", "g128:s=fp16")]
    names += [f"{e}{o}" for e in ("e4m3fnuz", "e5m2fnuz", "e4m3b11fnuz") for o in (":g32", ":g32:ovf:nan=ignore", ":g32:s=e8m0")]
    for e in ("e3m4", "e4m3_ieee", "e4m3b11fnuz", "fp16:sat", "fp16", "bf16", "int5", "int7"):
        names += [f"{e}:g32:s=e8m0:rule={r}" for r in ("floor", "ceil", "ceil_pow2", "even") if not (e[0] == "i" and r == "even")]
    names += ["nf4:g32:s=e8m0:rule=ceil", "bnb_fp4:g32:s=e8m0", "mxfp4:g16", "mxint8:g128", "mxfp4:channel", "tf32:g32:s=bf16"]
    names += ["fp16:g32", "fp16:g32:sat", "bf16:g32", "e4m3:g32:s=bf16:round=rna", "e4m3:tensor:nan=ignore", "int8:tensor", "int8:channel"]
    for rule in ("", ":rule=absmax", ":rule=absmean", ":rule=grid"):
        names += ["ternary" + rule + o for o in ("", ":g32:s=fp32", ":s=fp16:nan=ignore")]
    names += ["ternary:rule=absmax:round=rna", "ternary:rule=absmean:round=sr:seed=2"]
    names += [b + o for b in ("nf4", "bnb_fp4") for o in ("", ":g16", ":s=bf16", ":nan=ignore", ":channel")]
    return names


def fnv(words):
    value = 0x811C9DC5
    for word in words:
        for byte in word.to_bytes(4, "little"):
            value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return f"{value:08x}"


def run(name, words):
    return quantize(parse(name), words, STREAM, FIRST)


def digest_line(name, x):
    split, values = "", ""
    for words in x.values():
        q = run(name, words)
        tensor = [] if q["tensor_scale"] is None else [q["tensor_scale"]]
        split += fnv(q["scales"] + q["zeros"] + tensor + q["codes"])
        values += fnv(q["values"])
    return f"{name}\t{split}\t{values}\n"


def hexes(words, digits=8):
    return ",".join(f"{w:0{digits}x}" for w in words) or "-"


def worked_line(name, label, words):
    q = run(name, words)
    tensor = "-" if q["tensor_scale"] is None else f"{q['tensor_scale']:08x}"
    return "\t".join([name, label, tensor, hexes(q["scales"], 2), hexes(q["zeros"], 2), hexes(q["codes"], 2), hexes(q["values"])]) + "\n"


def check_published():
    """The oracle itself on examples computed by hand from the specifications."""
    x = inputs()

    def holds(name, label, scale, codes, values=None, group=0, size=32):
        q = run(name, x[label])
        assert q["scales"][group] == scale, (name, q["scales"])
        mine = q["codes"][group * size:group * size + len(codes)]
        assert mine == codes, (name, mine)
        if values is not None:
            got = q["values"][group * size:group * size + len(values)]
            assert got == [bits(v) for v in values], (name, [f"{w:08x}" for w in got])

    signed = lambda b, codes: [c % 2**b for c in codes]  # noqa: E731
    holds("mxfp4", "block_a", 0x7F, [7, 14, 6, 4, 12, 2, 2, 8, 1, 8, 0, 8], [6, -4, 4, 2, -2, 1, 1, -0.0, 0.5, -0.0, 0, -0.0])
    for rule in ("ceil", "even", "ceil_pow2"):
        holds("mxfp4:rule=" + rule, "block_a", 0x80, [6, 12, 4, 2, 10, 1, 1, 8, 0, 8, 0, 8], [8, -4, 4, 2, -2, 1, 1, -0.0, 0])
    holds("mxfp6_e2m3", "block_a", 0x7F, [0x1E, 0x3A, 0x16, 0x12, 0x2E, 0x0A, 0x06, 0x22, 0x02, 0x21, 0x00, 0x20])
    holds("mxfp6_e3m2", "block_a", 0x7D, [0x1F, 0x3D, 0x1B, 0x19, 0x37, 0x15, 0x12, 0x2C, 0x0D, 0x26, 0x00, 0x20])
    holds("mxfp8_e4m3", "block_a", 0x79, [0x7E, 0xFA, 0x76, 0x72, 0xEE, 0x6A, 0x64, 0xD8, 0x5A, 0xCD, 0x00, 0x80])
    holds("mxfp8_e5m2", "block_a", 0x72, [0x7B, 0xF9, 0x77, 0x75, 0xF3, 0x71, 0x6E, 0xE8, 0x69, 0xE2, 0x00, 0x80])
    holds("mxint8", "block_a", 0x81, signed(8, [112, -80, 56, 40, -28, 20, 12, -4, 5, -2, 0, 0]))
    holds("mxint6:rule=ceil", "block_a", 129, signed(6, [28, -20, 14, 10, -7, 5, 3, -1, 1, 0, 0, 0]))
    holds("mxint4:rule=ceil", "block_a", 129, signed(4, [7, -5, 4, 2, -2, 1, 1, 0, 0, 0, 0, 0]))
    holds("mxfp8_e4m3", "block_b", 0x7F, [0x7E, 0xFE, 0x5F, 0x5E, 0x38, 0x07, 0x00, 0x01, 0x82, 0x01])
    holds("mxfp8_e4m3:rule=ceil", "block_b", 0x80, [0x78, 0xF6, 0x57, 0x56, 0x30, 0x04, 0x00, 0x00, 0x81, 0x00])
    holds("mxint8", "block_c", 0x7F, signed(8, [127, -127, 32, 32, 0, -2, 1]))
    holds("mxint8:rule=ceil", "block_c", 0x80, signed(8, [64, -64, 16, 16, 0, -1, 0]))
    holds("mxfp4", "block_d", 0, [0, 0, 0, 0, 9], [0, 0, 0, 0, -(2.0**-128)])
    holds("nvfp4", "nvfp4", 0x7E, [7, 14, 6, 4, 12, 2, 2, 8], [10.5, -7, 7, 3.5, -3.5, 1.75, 1.75, -0.0], 0, 16)
    holds("nvfp4", "nvfp4", 0x5D, [7, 14, 5, 5, 12, 2, 1, 8], [0.609375, -0.40625, 0.3046875, 0.3046875], 1, 16)
    holds("nvfp4", "nvfp4", 0x04, [7, 13, 3, 0], [6 / 32768, -3 / 32768, 1.5 / 32768, 0], 2, 16)
    holds("nvfp4", "nvfp4", 0x00, [0, 0, 0], [0, 0, 0], 3, 16)
    holds("nvint4", "nvint4", 0x7E, signed(4, [7, -5, 4, 2, -2, 1, 0, 0]), [12.25, -8.75, 7, 3.5, -3.5, 1.75, 0, 0], 0, 16)
    holds("nvint4", "nvint4", 0x5B, signed(4, [7, -6, 4, 3, -2, 1, 1, 0]), None, 1, 16)
    holds("nf4", "block_a", bits(7.0), [15, 1, 12, 11, 4, 9, 8, 7, 8, 7, 7, 7], [7, -4.8733497, 3.0849688, 2.3654068, -1.9910897])
    x["eight"] = x["block_a"][:8]
    holds("int4:g8", "eight", bits(1.0), signed(4, [7, -5, 4, 2, -2, 1, 1, 0]))
    holds("int4:g8:range=half", "eight", bits(0.93333334), signed(4, [7, -5, 4, 3, -2, 1, 1, 0]))
    holds("int4:g8:range=pow2", "eight", bits(0.875), signed(4, [7, -6, 4, 3, -2, 1, 1, 0]))
    holds("int4:g8:asym", "eight", bits(0.8), [15, 0, 10, 9, 4, 8, 7, 6])
    holds("int4:g8:min", "eight", bits(0.8), [15, 0, 11, 9, 4, 8, 7, 6])
    holds("int2:g8:min", "eight", bits(4.0), [3, 0, 2, 2, 1, 2, 1, 1], [7, -5, 3, 3, -1, 3, -1, -1])


WORKED = ("mxfp4", "mxfp4:rule=ceil", "mxfp8_e4m3", "mxint8", "nvfp4", "nvint4", "int4:g32", "int4:g32:asym", "int4:g32:min", "ternary", "nf4")
WORKED_INPUTS = ("block_a", "tiniest", "inf", "both_flt_max", "max_e2m1_+1")


def write(name, header, lines):
    with open(os.path.join(FOLDER, name), "w") as f:
        f.write(f"# written by scripts/oracle/blocks.py: {header}\n")
        f.writelines(lines)


def main():
    x = inputs()
    if sys.argv[1:2] == ["--show"]:
        q = run(sys.argv[2], x[sys.argv[3]])
        print({k: v if k in ("codes", "tensor_scale") else hexes(v) for k, v in q.items()})
        for i, (w, c, v) in enumerate(zip(x[sys.argv[3]], q["codes"], q["values"])):
            print(f"{i:4} x {w:08x} code {c:02x} value {v:08x}")
        return
    check_published()
    os.makedirs(FOLDER, exist_ok=True)
    write("inputs.tsv", "name, float32 bits", [f"{name}\t{hexes(words)}\n" for name, words in x.items()])
    write("digests.tsv", "format, digests of the split form, digests of the values",
          [digest_line(name, x) for name in format_names()])
    write("worked.tsv", "format, input, tensor scale, scales, zero points, codes, values",
          [worked_line(name, label, x[label]) for name in WORKED for label in WORKED_INPUTS])


if __name__ == "__main__":
    main()
