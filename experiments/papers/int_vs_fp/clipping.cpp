// Section 3.3: blocks whose largest value overflows to code +-128 under symmetric INT8 scaling, by which steps are
// rounded to BF16. The training losses of Table 10 are quoted, not computed.
#include <algorithm>
#include <cmath>

#include "experiments/papers/int_vs_fp/reference.hpp"
#include "experiments/papers/int_vs_fp/stability.hpp"
#include "formats/codec.hpp"
#include "sim/portable_math.hpp"

namespace lowbit {
namespace {
using namespace int_vs_fp;

constexpr std::size_t kBatches = 40, kBlock = 32;

BlockArithmetic arithmetic_of(std::string_view name) {
  const auto found = std::find(std::begin(kBlockArithmeticNames), std::end(kBlockArithmeticNames), name);
  return static_cast<BlockArithmetic>(found - std::begin(kBlockArithmeticNames));
}

Record compute_clipping(const Point& p, Rng rng) {
  const Element& bf16 = element("bf16");
  const auto arithmetic = arithmetic_of(p.text("arithmetic"));
  const double sigma = portable_exp(0.6931471805599453 * p.real("octave"));
  const auto blocks = static_cast<std::size_t>(p.integer("blocks")) / kBatches;
  std::vector<double> overflow(kBatches), minimum(kBatches);
  std::array<float, kBlock> block;
  for (std::size_t batch = 0; batch < kBatches; ++batch) {
    for (std::size_t i = 0; i < blocks; ++i) {
      for (float& x : block) x = round_to(bf16, sigma * rng.normal());
      const auto [low, high] = unclipped_codes(block, arithmetic);
      overflow[batch] += std::max(-low, high) >= 128;
      minimum[batch] += low <= -128;
    }
    overflow[batch] *= 100.0 / static_cast<double>(blocks);
    minimum[batch] *= 100.0 / static_cast<double>(blocks);
  }
  Record record;
  record.set("overflow", overflow).set("minimum_code", minimum);
  if (arithmetic == BlockArithmetic::bf16) record.set("overflow_exact", 100 * overflow_probability(kBlock, sigma));
  return record;
}

/// Number of BF16 significands 128..255 whose quotient by the rounded scale becomes code 128.
double overflowing_significands() {
  const Element& bf16 = element("bf16");
  int count = 0;
  for (int significand = 128; significand < 256; ++significand)
    count += scaled_code(bf16, static_cast<float>(significand)) == 128;
  return count;
}

/// Exact overflow percentages on 64 sigmas of an octave: smallest, largest, mean.
std::array<double, 3> octave_statistics() {
  std::vector<double> percent;
  for (int i = 0; i < 64; ++i)
    percent.push_back(100 * overflow_probability(kBlock, portable_exp(0.6931471805599453 * i / 64)));
  double sum = 0;
  for (const double value : percent) sum += value;
  return {*std::min_element(percent.begin(), percent.end()), *std::max_element(percent.begin(), percent.end()),
          sum / 64};
}

std::vector<Row> clipping_rows(const Results& results) {
  std::vector<Row> rows;
  const auto sampled = [&](const char* quantity, const char* output, std::string_view arithmetic) {
    rows.push_back(mean_row(fmt::format("{}[arithmetic={},sigma=1]", quantity, arithmetic),
                            results.along(output, "batch", {{"arithmetic", std::string(arithmetic)}, {"octave", 0.0}}),
                            results.rng(arithmetic)));
  };
  for (const auto arithmetic : kBlockArithmeticNames) sampled("overflow_percent", "overflow", arithmetic);
  sampled("minimum_code_percent", "minimum_code", "bf16");
  const auto exact = [&](std::string quantity, double value) { rows.push_back(exact_row(std::move(quantity), value)); };
  exact("overflow_percent_exact[arithmetic=bf16,sigma=1]",
        results.at("overflow_exact", {{"arithmetic", "bf16"}, {"octave", 0.0}}));
  exact("overflow_significands", overflowing_significands());
  const auto octave = octave_statistics();
  exact("overflow_percent_octave[min]", octave[0]);
  exact("overflow_percent_octave[max]", octave[1]);
  exact("overflow_percent_octave[mean]", octave[2]);
  return rows;
}

Experiment clipping() {
  return with_references(
      Experiment{"int_vs_fp/clipping"}
          .paper(kPaper, "section 3.3", "Blocks of BF16 Gaussian data that reach code +-128 before clipping")
          .param("blocks", 400000, "blocks of 32 values per point", at_least(kBatches))
          .axis("arithmetic", texts({std::begin(kBlockArithmeticNames), std::end(kBlockArithmeticNames)}), "",
                "what is rounded to BF16: scale amax/127, quotient x/s")
          .axis("octave", numbers({0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875}), "1", "log2 of sigma")
          .where([](const Point& p) { return p.text("arithmetic") == "bf16" || p.real("octave") == 0; })
          .dim("batch", indices(kBatches), "1", "equal parts of the blocks")
          .draws_vary_with({})
          .output("overflow", "%", "100 * share of blocks with a code of +-128 before clipping", {"batch"})
          .output("minimum_code", "%", "100 * share of blocks with a code of -128 before clipping", {"batch"})
          .output("overflow_exact", "%", "overflow, summed over all BF16 values of the block maximum")
          .quick("blocks=4000 octave=0")
          .cost(8)
          .point(compute_clipping)
          .rows(clipping_rows));
}
LOWBIT_REGISTER(clipping);

}  // namespace
}  // namespace lowbit
