// Counter-based random words (Philox4x32-10): a value is a function of (seed, stream, index) alone, so that results do
// not depend on threads, chunks or order.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace lowbit {

/// Four words for block `counter` of `stream`: Philox4x32-10, counter = (lo, hi of counter; lo, hi of stream), key =
/// (lo, hi of seed). Salmon et al., SC'11.
std::array<std::uint32_t, 4> philox(std::uint64_t seed, std::uint64_t stream, std::uint64_t counter);

/// Word number `index` of a stream: philox(seed, stream, index / 4)[index % 4].
std::uint32_t random_word(std::uint64_t seed, std::uint64_t stream, std::uint64_t index);

/// Stream of a name: FNV-1a 64 of its bytes; the empty name is stream 0.
std::uint64_t stream_of(std::string_view name);

}  // namespace lowbit
