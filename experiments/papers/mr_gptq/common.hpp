// What the figures of MR-GPTQ share: its formats, tensors, per-group errors, rows of the report.
#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "experiments/core/experiment.hpp"
#include "formats/block.hpp"
#include "sim/rng.hpp"

namespace lowbit::mr_gptq {

inline constexpr const char* kPaper = "arXiv:2509.23202";
/// Source of the reference values that the paper has only as curves.
inline constexpr const char* kSimulation = "independent simulation (NumPy, 2^21 samples, seed noise about 1 %)";

/// E2M1 under E4M3 scales with a tensor scale ("e4m3"), under power-of-two scales ("e8m0"), both as in the paper's
/// repository, and 4-bit integers -7 .. 7 under float scales ("int4"), in groups of `group`.
std::string scaled_format(std::string_view scale, std::int64_t group);

/// Values of a tensor as one vector whose groups are neighbours.
using Vectors = std::vector<std::vector<float>>;

/// `count` values of "normal" (N(0, 1)) or "laplace" (unit variance), each group of `group` times its own 2^U[0, 1): so
/// that power-of-two scales meet every phase.
std::vector<float> synthetic(std::string_view data, std::size_t count, std::size_t group, Rng rng);

/// Committed real tensors: "weights" (MiniLM-L6 rows) or "activations" (SmolLM2-135M, inputs of q_proj and down_proj).
/// Empty reason where the files can be read.
std::string samples_missing();
Vectors sample_tensors(std::string_view data);

/// Mean of per-group ratios with a 95 % interval over batches of groups.
struct GroupErrors {
  double rel = 0, top = 0;  ///< E[sum (x - y)^2 / sum x^2], E[(x_I - y_I)^2 / x_I^2], I = argmax |x|
  Interval rel_interval, top_interval;
  std::size_t groups = 0;
};
/// Quantises groups of `group` neighbours of each vector (whole groups alone; groups of zeros are left out) after the
/// transform, which is undone before the error is taken. A vector is a tensor for second-level scales.
GroupErrors group_errors(const std::string& format, const std::string& transform, std::size_t group,
                         const Vectors& tensors, Rng rng);

Row exact_row(std::string quantity, double ours, std::string note = {});
Row sampled_row(std::string quantity, double ours, Interval interval, std::string note = {});

/// A reference with the band value (1 +- tolerance).
Reference near(std::string quantity, double value, double tolerance, std::string source = kSimulation,
               std::string note = {});
/// A reference with a band.
Reference within(std::string quantity, std::optional<double> value, Interval band, std::string source = kSimulation,
                 std::string note = {});

/// What to know about the weights of the model of a run; empty where nothing is known.
std::string weights_note(const Params& params);

/// Experiment{"mr_gptq/NAME"} with the paper.
Experiment declare(const std::string& name, std::string figure, std::string title);

}  // namespace lowbit::mr_gptq
