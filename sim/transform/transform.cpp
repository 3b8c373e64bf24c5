#include "sim/transform/transform.hpp"

#include <algorithm>
#include <vector>

#include "formats/error.hpp"
#include "sim/source/text.hpp"
#include "sim/transform/cosine.hpp"
#include "sim/transform/hadamard.hpp"
#include "sim/transform/random_rotation.hpp"

namespace lowbit {
namespace {

constexpr std::string_view kAccepted = "accepted: id, had:N, rhad:N:seed=S, orth:N:seed=S, dct:N";

class Identity : public Transform {
 public:
  std::string name() const override { return "id"; }
  std::size_t block() const override { return 0; }
  bool size_exists(std::size_t) const override { return true; }
  void forward(const float* x, float* y, std::size_t) const override { (void)x, (void)y; }
  void inverse(const float* x, float* y, std::size_t) const override { (void)x, (void)y; }
};

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  for (std::size_t colon; (colon = text.find(':')) != text.npos; text.remove_prefix(colon + 1))
    parts.push_back(text.substr(0, colon));
  parts.push_back(text);
  return parts;
}

[[noreturn]] void refuse(std::string_view name, const std::string& reason) {
  throw_error(ExitCode::usage, "transform {}: {} ({})", in_quotes(name), reason, kAccepted);
}

std::uint64_t number(std::string_view name, std::string_view text, const char* what) {
  unsigned long long value = 0;
  if (!parse_unsigned(text, value))
    refuse(name, fmt::format("{} {} is not an integer from 0 to 2^64 - 1", what, in_quotes(text)));
  return value;
}

using Map = void (Transform::*)(const float*, float*, std::size_t) const;

// Rows of the quantised axis are contiguous where inner() is 1; otherwise one column after the other is gathered.
void map_blocks(const Transform& transform, const Layout& layout, const float* x, float* y, Map map) {
  const std::size_t length = layout.length(), inner = layout.inner(), block = transform.block();
  check_fits(transform, layout, "the tensor");
  if (layout.size() == 0) return;  // the other extents of a tensor without values may be astronomic
  if (block == 0) {
    if (y != x) std::copy_n(x, layout.size(), y);
    return;
  }
  if (inner == 1) return (transform.*map)(x, y, layout.size() / block);
  std::vector<float> column(length);
  for (std::size_t o = 0; o < layout.outer(); ++o)
    for (std::size_t k = 0; k < inner; ++k) {
      const std::size_t first = o * length * inner + k;
      for (std::size_t i = 0; i < length; ++i) column[i] = x[first + i * inner];
      (transform.*map)(column.data(), column.data(), length / block);
      for (std::size_t i = 0; i < length; ++i) y[first + i * inner] = column[i];
    }
}

}  // namespace

std::shared_ptr<const Transform> parse_transform(std::string_view name, std::uint64_t stream) {
  const std::vector<std::string_view> parts = split(name);
  if (parts[0] == "id" && parts.size() == 1) return std::make_shared<Identity>();
  const bool random = parts[0] == "rhad" || parts[0] == "orth";
  if (!random && parts[0] != "had" && parts[0] != "dct") refuse(name, "unknown");
  if (parts.size() < 2) refuse(name, "the size is missing");
  const std::size_t size = number(name, parts[1], "size");
  constexpr std::string_view kSeed = "seed=";
  if (parts.size() > (random ? 3u : 2u)) refuse(name, "unexpected " + in_quotes(parts.back()));
  std::optional<std::uint64_t> seed;
  if (random) seed = 1;
  if (parts.size() == 3) {
    if (parts[2].substr(0, kSeed.size()) != kSeed) refuse(name, "unknown option " + in_quotes(parts[2]));
    seed = number(name, parts[2].substr(kSeed.size()), "seed");
  }
  if (parts[0] == "orth") return make_random_rotation(size, *seed, stream);
  if (parts[0] == "dct") return make_cosine(size);
  return make_hadamard(size, seed, stream);
}

void check_fits(const Transform& transform, const Layout& layout, const std::string& place) {
  const std::size_t length = layout.length(), block = transform.block();
  if (block == 0 || layout.size() == 0 || length % block == 0) return;
  std::string sizes;
  for (std::size_t n = 2; n <= length; ++n)
    if (length % n == 0 && transform.size_exists(n)) sizes += (sizes.empty() ? "" : ", ") + std::to_string(n);
  throw_error(ExitCode::usage,
              "transform {}: {} does not divide the {} values along the axis of {} (sizes that do: {})",
              in_quotes(transform.name()), block, length, place, sizes.empty() ? "none" : sizes);
}

void apply(const Transform& transform, const Layout& layout, const float* x, float* y) {
  map_blocks(transform, layout, x, y, &Transform::forward);
}

void apply_inverse(const Transform& transform, const Layout& layout, const float* x, float* y) {
  map_blocks(transform, layout, x, y, &Transform::inverse);
}

void apply_and_quantise(const Transform& transform, const Format& format, const Layout& layout, bool back,
                        const float* x, float* y, const QuantizeContext& context) {
  check_fits(transform, layout, "the tensor");
  if (transform.block() == 0) return fake_quantize(format, layout, x, y, context);
  if (transform.rotation() != nullptr && layout.inner() == 1) {
    Rotation rotation = *transform.rotation();
    rotation.back = back;
    return rotate_quantize(format, layout, rotation, x, y, context);
  }
  apply(transform, layout, x, y);
  fake_quantize(format, layout, y, y, context);
  if (back) apply_inverse(transform, layout, y, y);
}

}  // namespace lowbit
