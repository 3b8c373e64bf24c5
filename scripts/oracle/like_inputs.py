"""Inputs and files of the vectors that hold the like= formats to the real implementations.

The inputs are not stored. They are made of integers alone, here and in tests/support/like_inputs.hpp, from Philox4x32-10
words (Salmon et al., SC'11), so that both sides see the same float32 bits. A file holds digests of what the implementation
returned for them, and some blocks in full for a human to read.

Values. Value i of block b of size g has the words w0, w1 = word(2n), word(2n + 1), n = b*g + i, of stream "like_inputs";
the block has B0, B1 = word(2b), word(2b + 1) of stream "like_inputs/block"; seed 1. The class of a block is b % 16, or
(b // tensor) % 16 where a row is cut into tensors of that many blocks for a second-level scale; there the classes 13 to 15
put their special value into the middle block of the tensor alone and are class 0 otherwise. A row may replace classes in
which the original is undefined by class 0.

  0-3  sum of the four 16-bit halves of w0, w1 less 131070, times 2^(B0 % 41 - 36)
  4-5  the same times 2^(B0 % 200 - 126)
  6    powers of two +-64 ulp: bits ((64 + w0 % 128) << 23) + w1 % 129 - 64, sign = bit 31 of w1
  7    the same with one exponent field, low + B0 % (254 - low), in the whole block (low = 1 unless the row says more)
  8    any finite normal: exponent field 1 + w1 % 254, mantissa and sign from w0
  9    subnormals: (w0 & 0x7FFFFF) >> (w1 % 25), sign = bit 31 of w0
  10   zeros of either sign (bit 31 of w0)
  11   as 0, but by h = (w0 * 0x9E3779B1 mod 2^32) >> 29: h < 2 gives +0, h = 2 gives -0
  12   ties: (2 (w0 % 32) + 1) * 2^e, e = B0 % 20 - 10, value 0 of the block 2^(e+6); sign = bit 31 of w1
  13   as 0 with NaN (0x7FC00000) at position B1 % g
  14   as 0 with Inf there, sign = bit 31 of B1
  15   as 8 (as 0 in tensors) with FLT_MAX there, sign = bit 31 of B1

File: gzip of lines "# key: value"; then for each row
  row <format> group=G blocks=N [tensor=T] [exclude=c,c] [low=E] [tail=K] [run=no]
  digest <kind> <16 hex digits for each 256 consecutive blocks>
  block <index> <kind> <bits in hex>...
kinds: input (once for all rows of a file that have the same input), fake (values), decode (values that the implementation decodes from its codes, where that is not fake), codes,
scales, zeros, tensor (second-level scale). Digest: FNV-1a 64 over little-endian bytes: float32 bits with every NaN as
0x7FC00000; codes one byte each, zero-extended from the element's bits; scales (codes of the scale element, or float32
bits), zeros and tensor 4 bytes each, one a block (tensor: one a tensor, the tensor's value repeated for each of its blocks).
tail=K: the last K values of every tensor (of everything without tensor=) are cut off. run=no: derived from the source, not
run.
"""
import gzip
import hashlib
import os

import numpy as np

SEED = 1
DIGEST_BLOCKS = 256
KINDS = ("input", "fake", "decode", "codes", "scales", "zeros", "tensor")


def stream_of(name):
    """FNV-1a 64 of the name."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def philox(seed, stream, counter):
    """Philox4x32-10 words, array [len(counter), 4], of a vector of 64-bit counters."""
    u64, low = np.uint64, np.uint64(0xFFFFFFFF)
    counter = np.asarray(counter, u64)
    c = [counter & low, counter >> u64(32), np.full_like(counter, stream & 0xFFFFFFFF), np.full_like(counter, stream >> 32)]
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0, p1 = c[0] * u64(0xD2511F53), c[2] * u64(0xCD9E8D57)
        c = [(p1 >> u64(32)) ^ c[1] ^ u64(k0), p1 & low, (p0 >> u64(32)) ^ c[3] ^ u64(k1), p0 & low]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, axis=-1).astype(np.uint32)


def words(stream, count):
    """The first `count` words of a stream."""
    return philox(SEED, stream_of(stream), np.arange((count + 3) // 4)).reshape(-1)[:count]


def _ordinary(w0, w1, exponent):
    half = np.uint32(0xFFFF)
    total = sum((w.astype(np.int64) for w in (w0 & half, w0 >> np.uint32(16), w1 & half, w1 >> np.uint32(16)))) - 131070
    return np.ldexp(total.astype(np.float64), exponent).astype(np.float32).view(np.uint32)


def _any_normal(w0, w1):
    return (w0 & np.uint32(0x807FFFFF)) | ((np.uint32(1) + w1 % np.uint32(254)) << np.uint32(23))


def _class_bits(kind, w0, w1, b0, low):
    u, sign = np.uint32, np.uint32(0x80000000)
    if kind in (4, 5):
        return _ordinary(w0, w1, (b0 % u(200)).astype(np.int64) - 126)
    if kind in (6, 7):
        field = u(64) + w0 % u(128) if kind == 6 else u(low) + b0 % u(254 - low) + u(0) * w0
        return ((field << u(23)) + w1 % u(129) - u(64)) | (w1 & sign)
    if kind == 8:
        return _any_normal(w0, w1)
    if kind == 9:
        return ((w0 & u(0x7FFFFF)) >> (w1 % u(25))) | (w0 & sign)
    if kind == 10:
        return w0 & sign
    if kind == 12:
        odd = 2 * (w0 % u(32)).astype(np.int64) + 1
        odd[:, 0] = 64
        bits = np.ldexp(odd.astype(np.float64), (b0 % u(20)).astype(np.int64) - 10).astype(np.float32).view(u)
        return bits | (w1 & sign)
    bits = _ordinary(w0, w1, (b0 % u(41)).astype(np.int64) - 36)
    if kind == 11:
        h = (w0 * u(0x9E3779B1)) >> u(29)
        bits = np.where(h < 2, u(0), np.where(h == 2, sign, bits))
    return bits


def block_classes(blocks, tensor=0, exclude=()):
    """Class of each block, and whether the special value of 13 to 15 goes into it."""
    b = np.arange(blocks)
    kind = (b // tensor if tensor else b) % 16
    kind[np.isin(kind, list(exclude))] = 0
    special = (b % tensor == tensor // 2) if tensor else np.ones(blocks, bool)
    return kind, special & (kind >= 13)


def inputs(group, blocks=1 << 16, tensor=0, exclude=(), low=1):
    """float32 [blocks, group] of the classes above."""
    w = words("like_inputs", 2 * blocks * group).reshape(blocks, group, 2)
    block_words = words("like_inputs/block", 2 * blocks).reshape(blocks, 2)
    out = np.empty((blocks, group), np.uint32)
    classes, special = block_classes(blocks, tensor, exclude)
    for kind in range(16):
        rows = np.flatnonzero(classes == kind)
        if not rows.size:
            continue
        base = kind if kind < 13 else 8 if kind == 15 and not tensor else 0
        out[rows] = _class_bits(base, w[rows, :, 0], w[rows, :, 1], block_words[rows, :1], low)
        rows = rows[special[rows]]
        b1 = block_words[rows, 1]
        value = {13: np.uint32(0x7FC00000), 14: np.uint32(0x7F800000), 15: np.uint32(0x7F7FFFFF)}.get(kind, np.uint32(0))
        signed = value if kind == 13 else value | (b1 & np.uint32(0x80000000))
        if kind >= 13:
            out[rows, b1 % np.uint32(group)] = signed
    return out.view(np.float32)


def value_bits(values):
    """uint32 bits of float32 values, every NaN as 0x7FC00000."""
    values = np.ascontiguousarray(values, np.float32)
    return np.where(np.isnan(values), np.uint32(0x7FC00000), values.view(np.uint32))


def _fnv(rows):
    """FNV-1a 64 of each row of a uint8 matrix."""
    value = np.full(rows.shape[0], 0xCBF29CE484222325, np.uint64)
    columns = np.ascontiguousarray(rows.T)
    for column in columns:
        value = (value ^ column) * np.uint64(0x100000001B3)
    return value


def digests(words_or_codes, per):
    """Digests of runs of `per` items of a flat array of uint32 or uint8; the last run may be shorter."""
    data = np.ascontiguousarray(words_or_codes).reshape(-1)
    whole = data.size // per * per
    out = list(_fnv(data[:whole].reshape(-1, per).view(np.uint8))) if whole else []
    return out + ([_fnv(data[whole:].reshape(1, -1).view(np.uint8))[0]] if whole < data.size else [])


class VectorFile:
    """Collects rows and writes tests/vectors/like/<name>.tsv.gz; equal content gives equal bytes."""

    def __init__(self, name, **header):
        self.name, self.lines = name, [f"# {key}: {value}" for key, value in header.items()]
        self.inputs_shown = set()

    def row(self, name, group, outputs, blocks=1 << 16, tensor=0, exclude=(), low=1, tail=0, run=True, show=None):
        """Adds a row. outputs: {kind: array}: fake and decode float32 values in input order, codes uint8, scales and
        zeros uint32 or float32, one a block, tensor float32, one a tensor."""
        text = f"row {name} group={group} blocks={blocks}"
        text += f" tensor={tensor}" if tensor else ""
        text += " exclude=" + ",".join(map(str, exclude)) if exclude else ""
        text += f" low={low}" if low > 1 else ""
        text += f" tail={tail}" if tail else ""
        self.lines.append(text + ("" if run else " run=no"))
        data = {kind: self._bits(kind, value, tensor) for kind, value in outputs.items()}
        if (key := (group, blocks, tensor, tuple(exclude), low, tail)) not in self.inputs_shown:
            self.inputs_shown.add(key)
            x = inputs(group, blocks, tensor, exclude, low)
            x = x.reshape(-1, group * (tensor or blocks))[:, :-tail] if tail else x
            data = {"input": value_bits(x), **data}
        for kind, value in data.items():
            per = DIGEST_BLOCKS * (group if kind in ("input", "fake", "decode", "codes") else 1)
            self.lines.append(" ".join(["digest", kind] + [f"{d:016x}" for d in digests(value, per)]))
        if show is None:
            show = [k * tensor + tensor // 2 for k in range(16)] if tensor else range(16)
        for index in () if tail else show:
            for kind, value in data.items():
                width = group if kind in ("input", "fake", "decode", "codes") else 1
                cells = np.asarray(value).reshape(-1)[index * width : (index + 1) * width]
                self.lines.append(" ".join(["block", str(index), kind] + [f"{c:0{2 * cells.itemsize}x}" for c in cells]))

    @staticmethod
    def _bits(kind, value, tensor):
        assert kind in KINDS, kind
        value = np.asarray(value)
        if kind == "codes":
            assert value.dtype == np.uint8
            return value
        if kind == "tensor":
            value = np.repeat(value, tensor)
        return value_bits(value) if value.dtype.kind == "f" else value.astype(np.uint32)

    def write(self, folder=None):
        folder = folder or os.path.join(os.path.dirname(__file__), "..", "..", "tests", "vectors", "like")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, self.name + ".tsv.gz")
        text = ("\n".join(self.lines) + "\n").encode()
        with open(path, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
            packed.write(text)
        print(path, os.path.getsize(path), "bytes, sha256 of the text", hashlib.sha256(text).hexdigest()[:16])
