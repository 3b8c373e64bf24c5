// A cache in three parts. Storage holds what is kept of past tokens, in packed form; a Policy decides what is sealed,
// in which form, and what goes; attention reads blocks from storage. A method is a choice of codecs and a policy.
//
//   Storage (storage.hpp), one per layer: named streams of slots ("k", "v", "x", latents), one per KV head or one for
//     the layer. A slot is a row of `width` values and a position. Verbs: append, seal, overwrite, erase, gather, read,
//     and bytes by kind. Sealing gives rows to a Codec (block.hpp), which makes a packed Block of them; each block may
//     have another codec, so another format. States (constant-size vectors, as of linear attention) lie beside the
//     streams.
//   Policy (policy.hpp), one per sequence: gets layer, positions, layer input, keys before and after RoPE and values of
//     each step, and queries and attention mass if it asks; moves them into streams, seals and erases. Heads may differ
//     in length.
//   Attend (attend.hpp): queries of one KV head over its streams, block by block, each block unpacked once for all
//   query
//     heads. Terms may add numerator and denominator; a reader may leave blocks out.
//
// Cache (cache.hpp) makes the three a model::KvCache, so that generation and perplexity run on the one model path.
//
// Five methods in these words:
//
//   KIVI: keys after RoPE, 128 tokens of a channel share a scale; values 64 channels of a token; the last tokens open.
//     k.append(keys, positions); v.append(values, positions);
//     if (k.open() == 128) k.seal(k.sealed(), 128, GroupCodec(parse_format("int2:g128:min:s=fp16"), GroupAxis::token));
//     if (v.open() > 128) v.seal(v.sealed(), 1, GroupCodec(parse_format("int2:g64:min:s=fp16"), GroupAxis::channel));
//
//   KVQuant-1 %: keys before RoPE, levels by k-means, one token in a hundred values kept exactly in a side list.
//     k.append(keys_before_rope, positions); k.seal(k.sealed(), n, NuqCodec(per_channel_ranges, levels));  // sparse
//     list reader.rope = &rope;                                                       // applied to the rows that are
//     read
//
//   XQuant: what is kept is the layer's input; keys and values are made again when they are read.
//     storage.add("x", 1, hidden).append(x, positions); x.seal(0, 128, GroupCodec(int4, GroupAxis::token));
//     x.read(part, 0, rows); product(rows, w_k) -> keys, product(rows, w_v) -> values
//
//   Page eviction: pages of 16 slots, the page of the least |v| / |k| is given up and filled again.
//     if (k.slots() < budget) k.append(...); else k.overwrite(16 * worst + filled, key, position), v.overwrite(...);
//
//   KVLinC: as KIVI with rotated values; what the keys lost goes into a state that attention adds.
//     k.seal(...); s = storage.state("s", head, D * (d + 1)); adapter.add(key_error, value, s);
//     attend(reader, queries, output, AdapterTerms(adapter, s));  // numerator phi(q) S, denominator phi(q) P
#pragma once
#include "sim/kv/attend.hpp"
#include "sim/kv/cache.hpp"
#include "sim/kv/group_codec.hpp"
#include "sim/kv/policy.hpp"
#include "sim/kv/storage.hpp"
