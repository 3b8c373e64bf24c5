// Kernels that only move memory, in every way tried: their fastest is the limit that a case is held against.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace lowbit::bench {

/// What a case does with the float32 tensor of n values.
enum class Pattern {
  copy,      ///< reads it and writes another
  in_place,  ///< reads and writes it
  read,      ///< only reads it (its packed result is small)
  write,     ///< only writes it
  two_pass,  ///< reads it once, then copies it
  two_pass_in_place
};
const char* to_string(Pattern pattern);

/// One way to do it.
struct Traffic {
  Pattern pattern = Pattern::copy;
  std::size_t ahead = 0;        ///< prefetch distance in values; 0: none
  bool prefetch_write = false;  ///< prefetch for writing
  bool stream = false;          ///< stores past the caches
  bool libc = false;            ///< memcpy
  std::string name() const;
};

/// All variants that are tried for a pattern; two passes have none of their own.
std::vector<Traffic> variants(Pattern pattern);

/// Runs one on values [0, n): x is read (and written in place), y written. n: a multiple of 256. Returns a number made
/// of what was read, so that no read can be left out.
float run_traffic(const Traffic& traffic, float* x, float* y, std::size_t n);

/// The least that a block format does to blocks of 32 values: their largest magnitude, a power of two from it, and for
/// each value a product, a rounding and a product. y may be x. n: a multiple of 32.
void run_block_pass(const float* x, float* y, std::size_t n);

}  // namespace lowbit::bench
