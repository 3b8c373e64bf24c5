// Stands in for the vector kernels where Highway is missing at build time.
#include "formats/error.hpp"
#include "formats/kernels/kernels.hpp"
#include "formats/kernels/statistics.hpp"

namespace lowbit::kernels {

std::string_view target() { return "ref"; }
std::vector<std::string> targets() { return {"ref"}; }
void force_target(std::string_view name) {
  if (!name.empty() && name != "ref") {
    throw_error(ExitCode::usage, "kernel '{}': this build has none (Highway was missing); accepted: ref", name);
  }
}
std::string_view highway_version() { return "none (scalar build)"; }
DefaultRounding::DefaultRounding() : saved_(0) {}
DefaultRounding::~DefaultRounding() = default;
bool hadamard(const float*, float*, std::size_t, std::size_t, const float*, bool) { return false; }
bool rotate_quantize(const Format&, const Layout&, const Rotation&, const float*, float*, const QuantizeContext&) {
  return false;
}
// never called: the target is "ref"
BlockSums chunk_sums(const float*, const float*, std::size_t) { return {}; }
ErrorSums chunk_errors(const float*, const float*, std::size_t) { return {}; }
CentralSums chunk_central_sums(const float*, std::size_t, double) { return {}; }
void run_part_maxima(const float*, std::size_t, float*, double*) {}
std::size_t run_count_beyond(const float*, std::size_t, std::size_t, const float*, const float*) { return 0; }
float finite_maximum(const float*, std::size_t) { return 0; }
bool fake_quantize(const Format&, const Layout&, const float*, float*, const QuantizeContext&) { return false; }
bool encode(const Format&, const Layout&, const float*, Quantized&, const QuantizeContext&) { return false; }
bool decode(const Quantized&, float*, Workers*) { return false; }
bool encode_packed(const Format&, const Layout&, const float*, PackedTensor&, const QuantizeContext&) { return false; }
bool pack_dense(int, const std::uint8_t*, std::size_t, std::uint8_t*) { return false; }
bool unpack_dense(int, const std::uint8_t*, std::size_t, std::uint8_t*) { return false; }
bool decode_packed(const PackedTensor&, float*, Workers*) { return false; }

}  // namespace lowbit::kernels
