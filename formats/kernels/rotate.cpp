// Transform and quantiser in one pass: a strip is transformed into a buffer in the first cache and quantised from
// there.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "formats/kernels/fake_quantize.hpp"
#include "formats/kernels/hadamard.hpp"
#include "formats/kernels/kernels.hpp"
#include "formats/kernels/pieces.hpp"
#include "formats/rotate.hpp"

namespace lowbit::kernels {
namespace {

/// Values of a strip, about: with its result and the next one it shares a first-level cache.
constexpr std::size_t kStrip = 4096;
/// Strips beyond this (blocks and groups that fit badly) gain nothing.
constexpr std::size_t kLongestStrip = 65536;

/// Everything that a strip needs.
struct Job {
  const float* x;
  float* y;
  HadamardPlan forward, inverse;
  BlockPlan plan;
  std::size_t unit;  ///< values that are whole groups and whole blocks
  bool back;
  std::uint64_t first_index;
};

/// Calls use(first, count) for strips of values [begin, end).
template <class Use>
void for_each_strip(const Job& job, std::size_t begin, std::size_t end, const Use& use) {
  const std::size_t strip = std::max<std::size_t>(1, kStrip / job.unit) * job.unit;
  for (std::size_t first = begin; first < end; first += strip) use(first, std::min(strip, end - first));
}

void rotate(const Job& job, const HadamardPlan& plan, const float* x, float* y, std::size_t values) {
  run_hadamard(plan, x, y, values / job.forward.n);
}

/// At least kStrip values and one unit, aligned for vectors of every target.
class StripBuffer {
 public:
  explicit StripBuffer(const Job& job) : room_(std::max(kStrip, job.unit) + 16) {}
  float* get() {
    return room_.data() + (64 - reinterpret_cast<std::uintptr_t>(room_.data()) % 64) % 64 / sizeof(float);
  }

 private:
  std::vector<float> room_;
};

void quantize_piece(const Job& job, std::size_t begin, std::size_t end) {
  StripBuffer buffer(job);
  float* strip = buffer.get();
  for_each_strip(job, begin, end, [&](std::size_t first, std::size_t n) {
    rotate(job, job.forward, job.x + first, strip, n);
    // the memory must not idle while a strip is quantised: its successor is fetched
    quantize_blocks(job.plan, strip, job.back ? strip : job.y + first, n / job.plan.group, job.first_index + first,
                    job.x + first + n);
    if (job.back) rotate(job, job.inverse, strip, job.y + first, n);
  });
}

/// The largest finite magnitude of the transformed values, which are made anew when they are quantised: memory takes
/// longer to store and to read them than the transform takes.
float rotated_maximum(const Job& job, Workers* workers, std::size_t n, std::size_t piece) {
  std::vector<float> parts(n / piece + 1, 0.0f);
  in_pieces(workers, n, piece, [&](std::size_t begin, std::size_t end) {
    StripBuffer buffer(job);
    float* strip = buffer.get();
    for_each_strip(job, begin, end, [&](std::size_t first, std::size_t count) {
      const float maximum = hadamard_maximum(job.forward, job.x + first, strip, count / job.forward.n);
      parts[begin / piece] = std::max(parts[begin / piece], maximum);
    });
  });
  return *std::max_element(parts.begin(), parts.end());
}

}  // namespace

bool rotate_quantize(const Format& format, const Layout& layout, const Rotation& rotation, const float* x, float* y,
                     const QuantizeContext& context) {
  if (target() == "ref" || !format.like.empty()) return false;
  const GroupRows groups(format, layout);
  const std::size_t n = layout.size(), lanes = lane_count();
  if (groups.rows != 1 || n == 0 || groups.group % lanes != 0 || groups.group > lanes * 256) return false;
  Job job{x, y, {}, {}, {}, std::lcm(groups.group, rotation.n), rotation.back, context.first_index};
  if (job.unit > kLongestStrip || n % job.unit != 0) return false;
  const DefaultRounding state;
  job.forward = hadamard_plan(rotation.n, rotation.signs, false);
  if (rotation.back) job.inverse = hadamard_plan(rotation.n, rotation.signs, true);
  const std::size_t piece = std::max<std::size_t>(1, kPieceValues / job.unit) * job.unit;
  std::optional<float> tensor_scale;
  if (format.second_level != SecondLevel::none) {
    const float amax = context.tensor_amax ? *context.tensor_amax : rotated_maximum(job, context.workers, n, piece);
    if (!(amax >= 0 && std::isfinite(amax))) return false;  // the reference has the error
    tensor_scale = second_level_scale(format, amax);
  }
  if (!make_plan(format, tensor_scale, context.stream, job.plan)) return false;
  job.plan.group = groups.group;
  const bool stream = x != y && n * sizeof(float) >= kStreamBytes && reinterpret_cast<std::uintptr_t>(y) % 64 == 0 &&
                      job.unit % 16 == 0;
  (rotation.back ? job.inverse.stream : job.plan.stream) = stream && (!rotation.back || rotation.n <= kStrip);
  in_pieces(context.workers, n, piece, [&](std::size_t begin, std::size_t end) { quantize_piece(job, begin, end); });
  return true;
}

}  // namespace lowbit::kernels
