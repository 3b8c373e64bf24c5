// Methods at equal bits: the group size or rank with which a method stores about as much as another.
#pragma once
#include <string>

#include "experiments/papers/kvlinc/heads.hpp"

namespace lowbit::kvlinc {

/// Bits that a method stores for a value of a layer of `shape` while the last of `tokens` tokens attends, from the
/// bytes of a cache filled with drawn rows (the bytes of side lists depend on the values a little). In the view all
/// every full block is sealed then; in the others what was due before the last token came, as decoding seals. Open
/// tokens count as float16.
double stored_bits(const std::string& method, const kv::MethodOptions& options, const kv::LayerShape& shape,
                   std::size_t tokens, kv::View view);
/// The same of rules that are made already.
double stored_bits(const kv::LayerRules& rules, const kv::LayerShape& shape, std::size_t tokens, kv::View view);
/// Bits of the states of a correction of `features` features, float16, for each of `tokens` cached keys and values.
double state_bits(std::size_t features, std::size_t head_dim, std::size_t tokens);

/// What --match bits accepts as a match.
inline constexpr double kMatchedBits = 0.05;
/// ", aimed at 3.48", and that it was missed by more than that.
std::string match_note(double bits, double target);

/// `options` with G of keys and of values (powers of two from 16; a residual window must hold whole groups), or with
/// the rank of GEAR, that brings stored_bits nearest to `target`; as it is for methods without either (kvquant, resq,
/// fp).
kv::MethodOptions match_bits(const std::string& method, kv::MethodOptions options, const kv::LayerShape& shape,
                             std::size_t tokens, double target, kv::View view);

/// What match_bits chooses of a method: "G = 128 and 32", "rank 7", or "" where there is nothing to choose.
std::string choice_note(const std::string& method, std::size_t group, std::size_t v_group, std::size_t rank);

}  // namespace lowbit::kvlinc
