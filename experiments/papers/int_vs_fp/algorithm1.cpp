// Algorithm 1 and Table 11: how often round(D / (D / 127)) is 128.
#include <cmath>

#include "experiments/papers/int_vs_fp/reference.hpp"
#include "experiments/papers/int_vs_fp/stability.hpp"
#include "formats/codec.hpp"

namespace lowbit {
namespace {
using namespace int_vs_fp;

constexpr std::size_t kChunks = 64;

/// Percentage of hits in each chunk of the matrix: D ~ N(0, 1) rounded once to the precision.
std::vector<double> sample_percent(const Element& precision, std::size_t draws, Rng rng) {
  std::vector<double> percent(kChunks);
  for (double& share : percent) {
    std::size_t hits = 0;
    for (std::size_t i = 0; i < draws / kChunks; ++i)
      hits += scaled_code(precision, round_to(precision, rng.normal())) == 128;
    share = 100.0 * static_cast<double>(hits) / static_cast<double>(draws / kChunks);
  }
  return percent;
}

Record compute_algorithm1(const Point& p, Rng rng) {
  const Element& precision = element(p.text("precision"));
  const auto size = static_cast<std::size_t>(p.integer("size"));
  Record record;
  record.set("percent", sample_percent(precision, size * size, std::move(rng)));
  if (precision.bits <= 16) {
    const auto exact = algorithm1_probability(precision);
    record.set("percent_exact", 100 * exact.equal).set("percent_at_least_exact", 100 * exact.at_least);
  } else {
    record.set("mantissa_hits", static_cast<double>(algorithm1_binary32_mantissas()));
  }
  return record;
}

std::vector<Row> algorithm1_rows(const Results& results) {
  std::vector<Row> rows;
  for (const char* precision : {"bf16", "fp16", "fp32"}) {
    rows.push_back(mean_row(fmt::format("percent[precision={}]", precision),
                            results.along("percent", "chunk", {{"precision", precision}}), results.rng(precision)));
  }
  const auto add = [&](const char* quantity, const char* output, const char* precision) {
    rows.push_back(exact_row(fmt::format("{}[precision={}]", quantity, precision),
                             results.at(output, {{"precision", precision}})));
  };
  add("percent_exact", "percent_exact", "bf16");
  add("percent_exact", "percent_exact", "fp16");
  add("percent_at_least_exact", "percent_at_least_exact", "fp16");
  add("hits_of_all_mantissas", "mantissa_hits", "fp32");
  return rows;
}

Experiment algorithm1() {
  return with_references(
      Experiment{"int_vs_fp/algorithm1"}
          .paper(kPaper, "Algorithm 1, Table 11", "Share of values that overflow to code 128 when scaled by amax/127")
          .param("size", 4096, "D is size x size, N(0, 1)", between(64, 65536))
          .axis("precision", texts({"bf16", "fp16", "fp32"}), "", "precision of D, D/127 and the quotient")
          .dim("chunk", indices(kChunks), "1", "equal parts of the matrix, in order")
          .draws_vary_with({})
          .output("percent", "%", "100 * share of round(D / (D / 127)) == 128, every operation rounded once", {"chunk"})
          .output("percent_exact", "%",
                  "the same summed over all values of the precision, each with its Gaussian probability")
          .output("percent_at_least_exact", "%", "as percent_exact, codes of 128 and more (finite)")
          .output("mantissa_hits", "1", "number of the 2^23 binary32 mantissas that give 128")
          .quick("size=512")
          .cost(4)
          .point(compute_algorithm1)
          .rows(algorithm1_rows));
}
LOWBIT_REGISTER(algorithm1);

}  // namespace
}  // namespace lowbit
