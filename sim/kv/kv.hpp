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
//     query heads. Terms may add numerator and denominator; a reader may leave blocks out.
//
// Cache (cache.hpp) makes the three a model::KvCache, so that generation and perplexity run on the one model path.
//
// Five methods in these words, for one head (tests/sim/kv/page_test.cpp runs these lines):
//
//   KIVI: keys after RoPE, 128 tokens of a channel share a scale; values, 64 channels of a token; the last tokens open.
//     const auto of_channel = std::make_shared<GroupCodec>(parse_format("int2:g128:min:s=fp16"), GroupAxis::channel);
//     const auto of_token = std::make_shared<GroupCodec>(parse_format("int2:g64:min:s=fp16"), GroupAxis::token);
//     k.append(keys, positions);
//     v.append(values, positions);
//     if (k.open() == 128) k.seal(k.sealed(), 128, of_channel);
//     if (v.open() > 128) v.seal(v.sealed(), v.open() - 128, of_token);
//
//   KVQuant-1 %: keys before RoPE, levels by k-means, one value in a hundred kept exactly in a side list.
//     const std::vector<ChannelRange> ranges = channel_ranges(calibration, 0.01);
//     const std::vector<float> levels = k_means(normalised(calibration, ranges), 4);
//     const auto codec = std::make_shared<NuqCodec>(levels, ranges, true);
//     k.append(keys_before_rope, positions);
//     k.seal(k.sealed(), k.open(), codec);
//     reader.rope = &rope;  // applied to the rows that are read
//
//   XQuant: what is kept is the layer's input; keys and values are made again when they are read.
//     storage.add("x", 1, hidden);
//     Stream& x = storage.stream("x");
//     x.append(inputs, positions);
//     x.seal(x.sealed(), x.open(), of_token);
//     x.read(part, 0, rows);
//     const Matrix keys = product(rows, w_k), values = product(rows, w_v);
//
//   Page eviction: pages of 16 slots, the page of the least |v| / |k| is given up and filled again.
//     if (k.slots() < budget) {
//       k.append(key, position);
//       v.append(value, position);
//     } else {
//       k.overwrite(16 * worst + filled, key, position);
//       v.overwrite(16 * worst + filled, value, position);
//     }
//
//   KVLinC: what the keys lost in quantisation goes into a state of D features that attention adds.
//     k.seal(k.sealed(), 128, of_channel);
//     v.seal(v.sealed(), 128, of_token);
//     std::vector<double>& state = storage.state("correction", 0, D * (d + 1));
//     correction.add_state(key_errors.data(), kept_values.data(), 128, state);
//     const CorrectionTerms terms(correction, queries, state);  // numerator phi(q) S, denominator phi(q) P
//     attend(reader, queries, last, scale, output, &terms);
#pragma once
#include "sim/kv/attend.hpp"
#include "sim/kv/cache.hpp"
#include "sim/kv/group_codec.hpp"
#include "sim/kv/policy.hpp"
#include "sim/kv/storage.hpp"
