// Methods at equal bits: the group size or rank with which a method stores about as much as another.
#pragma once
#include <string>

#include "experiments/papers/kvlinc/heads.hpp"

namespace lowbit::kvlinc {

/// Bits that a method stores for a value of one head of `shape` after `tokens` tokens, from the bytes of a cache filled
/// with drawn rows (the bytes of side lists depend on the values a little). Open tokens count as float16.
double stored_bits(const std::string& method, const kv::MethodOptions& options, const kv::LayerShape& shape,
                   std::size_t tokens);

/// What --match bits accepts as a match.
inline constexpr double kMatchedBits = 0.05;

/// `options` with G of keys and of values (powers of two from 16; a residual window must hold whole groups), or with
/// the rank of GEAR, that brings stored_bits nearest to `target`; as it is for methods without either (kvquant, resq,
/// fp).
kv::MethodOptions match_bits(const std::string& method, kv::MethodOptions options, const kv::LayerShape& shape,
                             std::size_t tokens, double target);

}  // namespace lowbit::kvlinc
