"""Block formats from their published definitions, in exact rationals: the oracle of formats/block.

Options of a format are a dictionary; see FORMAT_DEFAULTS. quantize() returns scales, zero points, tensor scale, codes and
values of a vector. Sources: OCP MX v1.0 section 6.3 (floor), arXiv:2510.25602 eq. 9 (ceil), torchao (ceil_pow2, even),
NVIDIA ModelOpt (order of operations of NVFP4), GPTQ, KIVI (offsets), arXiv:1605.04711 (TWN), QLoRA (NF4).
"""
from fractions import Fraction

from blocks_arithmetic import INF, NAN_BITS, bits_of, choose, element, f32, floor_log2, philox_word, round_float, value_of

FORMAT_DEFAULTS = dict(element="e2m1", group=32, scale="fp32", rule="amax", ts=None, offset=None, zero="fp32", range="sym",
                       round="rne", overflow="sat", nan="poison", flush=False, seed=0)


def quantize(options, words, stream=0, first_index=0, tensor_amax=None):
    """words: float32 bits of a vector. Returns dict(scales, zeros, tensor_scale, codes, values), codes and bits as ints."""
    o = dict(FORMAT_DEFAULTS, **options)
    x = [value_of(w) for w in words]
    if o["flush"]:
        x = [(n, Fraction(0)) if a not in (None, INF) and a < Fraction(2) ** -126 else (n, a) for n, a in x]
    finite = [a for _, a in x if a not in (None, INF)]
    amax = max(finite, default=Fraction(0)) if tensor_amax is None else tensor_amax
    g_scale = tensor_scale(o, amax)
    random = [philox_word(o["seed"], stream, first_index + i) if o["round"] == "sr" else 0 for i in range(len(x))]
    out = dict(scales=[], zeros=[], tensor_scale=None if g_scale is None else bits_of(False, g_scale), codes=[], values=[])
    size = o["group"] or max(len(x), 1)
    family = shifted if o["offset"] else ternary if o["element"] == "ternary" else scaled
    for start in range(0, len(x), size):
        group = x[start:start + size]
        special = any(a in (None, INF) for _, a in group)
        if special and o["nan"] == "poison":
            scale, zero = (0xFF if o["scale"] == "e8m0" else element(o["scale"]).nan_code), 0
            codes, values = [0] * len(group), [NAN_BITS] * len(group)
        else:
            scale, zero, codes, values = family(o, group, random[start:start + size], g_scale)
        out["scales"].append(scale)
        if o["offset"]:
            out["zeros"].append(zero)
        out["codes"] += codes
        out["values"] += values
    return out


def divisor(o):
    e = element(o["element"])
    if o["range"] == "pow2":
        return Fraction(2 ** (e.bits - 1))
    if o["range"] == "half":
        return Fraction(2**e.bits - 1, 2)
    return e.max


def coded(o):
    return element(o["element"], full=o["range"] != "sym") if o["element"].startswith("int") else element(o["element"])


def tensor_scale(o, amax):
    if o["ts"] is None:
        return None
    whole = divisor(o) * element(o["scale"]).max
    if o["ts"] == "fp32":
        return f32(amax / whole)
    exponent = -127 if amax == 0 else ceil_log2(amax / whole)
    return Fraction(2) ** min(max(exponent, -127), 127)


def ceil_log2(a):
    e = floor_log2(a)
    return e if Fraction(2) ** e == a else e + 1


def power_exponent(o, amax):
    """Exponent of the step that a power-of-two rule makes, and the implicit exponent of the element."""
    e = element(o["element"])
    implicit = e.bits - 2 if e.is_integer else 0
    emax = floor_log2(e.max)
    step = {"floor": lambda: floor_log2(amax) - emax, "ceil": lambda: ceil_log2(amax / e.max),
            "ceil_pow2": lambda: ceil_log2(amax) - emax, "even": lambda: even_exponent(amax, e) - emax}[o["rule"]]()
    return min(max(step + implicit, -127), 127), implicit


def even_exponent(amax, e):
    """Exponent of amax rounded half up to the mantissa of the element, without bounds."""
    quantum = Fraction(2) ** (floor_log2(amax) - e.mantissa_bits)
    return floor_log2((amax / quantum + Fraction(1, 2)) // 1 * quantum)


def scaled(o, group, words, g_scale):
    e, amax = coded(o), max((a for _, a in group if a not in (None, INF)), default=Fraction(0))
    if o["scale"] == "e8m0":
        exponent, implicit = (-127, 0) if amax == 0 else power_exponent(o, amax)
        code, step = exponent + 127, Fraction(2) ** (exponent - implicit)
        quotient = lambda a: a / step  # noqa: E731 - exact: the divisor is a power of two
        zero = amax == 0
    else:
        s = element(o["scale"])
        code = scale_code(s, divisor(o), amax, g_scale)
        stored = s.decode(code)[1]
        step = stored if g_scale is None else stored * g_scale
        divide_by = step if g_scale is None else f32(step)
        if divide_by is None:  # beyond float32: its largest number
            divide_by = element("fp32").max
        quotient = lambda a: round_float(a / divide_by)  # noqa: E731
        zero = amax == 0 or divide_by == 0
    codes = []
    for (negative, a), word in zip(group, words):
        if zero:
            codes.append(e.nan_code if a is None and e.has_nan else e.encode(False, Fraction(0)))
        else:
            codes.append(e.encode(negative, a if a in (None, INF) else quotient(a), o["round"], word, o["overflow"]))
    return code, 0, codes, [product(e, c, step) for c in codes]


def scale_code(s, whole, amax, g_scale):
    if g_scale is None:
        return s.encode(False, f32(amax / whole))
    if g_scale == 0:
        return 0
    return s.encode(False, round_float(amax / f32(whole * g_scale)))


def product(e, code, step):
    negative, a = e.decode(code)
    if a is None or (a == INF and step == 0):
        return NAN_BITS
    rounded = INF if a == INF else round_float(a * step)
    return bits_of(negative and not (e.is_integer and rounded == 0), rounded)


def shifted(o, group, words, _):
    s, z, levels = element(o["scale"]), element(o["zero"]), 2 ** element(o["element"]).bits - 1
    signed = [0 if a is None else (10**60 if a == INF else a) * (-1 if n else 1) for n, a in group]
    finite = [v for v, (_, a) in zip(signed, group) if a not in (None, INF)] or [Fraction(0)]
    low, high = min(finite), max(finite)
    if o["offset"] == "asym":
        low, high = min(low, 0), max(high, 0)
    extent = f32(high - low)
    halves = extent is None
    if halves:
        extent = f32(f32(high / 2) - f32(low / 2))
    code = s.encode(False, f32(Fraction(extent) / levels) * (2 if halves else 1))
    step = s.decode(code)[1]
    zero_group = (extent == 0) or step == 0
    if o["offset"] == "asym":
        point = 0 if zero_group else min(max(nearest(f32(-low / step), "rne", 0), 0), levels)
        units = lambda v: wide(v / step)  # noqa: E731
        value = lambda c: f32_bits((c - point) * step)  # noqa: E731
    else:
        point = z.encode(low < 0, abs(low))
        n, a = z.decode(point)
        base = -a if n else a
        if halves:
            units = lambda v: wide(wide(wide(Fraction(v) / 2) - f32(base / 2)) / f32(step / 2))  # noqa: E731
        else:
            units = lambda v: wide(wide(v - base) / step)  # noqa: E731
        value = lambda c: bits_of(False, INF) if f32(step * c) is None else f32_bits(f32(step * c), base)  # noqa: E731
    codes = [0 if zero_group else min(max(nearest(units(v), o["round"], w) + (point if o["offset"] == "asym" else 0), 0), levels)
             for v, w in zip(signed, words)]
    return code, point, codes, [value(c) for c in codes]


def wide(a):
    """Float32 rounding that keeps an overflow as a huge number."""
    r = f32(a)
    return r if r is not None else Fraction(10**60) * (-1 if a < 0 else 1)


def nearest(v, rounding, word):
    a = abs(v)
    whole = choose(a // 1, a // 1 + 1, a, int(a // 1), rounding, word)
    return -whole if v < 0 else whole


def f32_bits(product_, base=None):
    """Bits of the product, or of product + base, each rounded once; zeros are +0; overflow gives Inf."""
    total = product_ if base is None else product_ + base
    rounded = round_float(abs(total))
    return bits_of(total < 0 and rounded != 0, rounded)


def ternary(o, group, words, _):
    """Means and errors in IEEE double (Python's float), in index order, as the definition says."""
    s, q = element(o["scale"]), element("int2")
    a = [m for _, m in group if m not in (None, INF)]
    threshold = None
    if o["rule"] == "twn":
        threshold = 0.7 * mean([float(m) for m in a])
        code = s.encode(False, Fraction(mean([float(m) for m in a if float(m) > threshold])))
    elif o["rule"] == "absmean":
        code = s.encode(False, Fraction(mean([float(m) for m in a])))
    elif o["rule"] == "absmax":
        code = s.encode(False, max(a, default=Fraction(0)))
    else:
        code = search(s, q, group, max(a, default=Fraction(0)))
    step = s.decode(code)[1]
    codes = []
    for (negative, m), word in zip(group, words):
        if not any(a) or step == 0 or m is None:
            digit = 0
        elif threshold is not None:
            digit = (m == INF or float(m) > threshold) * (-1 if negative else 1)
        else:
            c = q.encode(negative, m if m == INF else round_float(m / step), o["round"], word)
            digit = -1 if c == 3 else c
        codes.append(digit + 1)
    return code, 0, codes, [bits_of(c == 0 and step != 0, step * abs(c - 1)) for c in codes]


def mean(values):
    total = 0.0
    for v in values:
        total += v
    return total / len(values) if values else 0.0


def search(s, q, group, amax):
    best = None
    for k in range(12, 41):
        code = s.encode(False, Fraction(float(amax) * k / 40))
        step, error = s.decode(code)[1], 0.0
        for negative, m in group:
            if m in (None, INF):
                continue
            digit = 0 if step == 0 else q.decode(q.encode(False, round_float(m / step)))[1]
            difference = float(m) - float(digit) * float(step)
            error += difference * difference
        if best is None or error < best[0]:
            best = (error, code)
    return best[1]
