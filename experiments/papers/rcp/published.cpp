#include "experiments/papers/rcp/published.hpp"

#include <array>

namespace lowbit::rcp {

namespace {
constexpr std::array<PublishedRow, 5> kPublished{{
    {"qwen3-8b", 14259, 65.22, 26.40, 8702, 56.66, 13222, 66.53, 8052, 66.73, 56, 61.11},
    {"qwen3-14b", 12591, 69.96, 35.3, 7817, 57.80, 11309, 68.90, 7498, 69.80, 60, 65.72},
    {"qwen3-30b-a3b", 12472, 74.38, 32.5, 9490, 68.27, 11860, 71.87, 9457, 75.11, 76, 73.84},
    {"qwen3-32b", 12063, 72.44, 34.0, 8660, 66.48, 11249, 72.49, 8358, 73.37, 69, 73.26},
    {"r1-distill-8b", 18704, 68.47, 0, 14950, 63.55, 18480, 66.08, 15465, 67.56, 83, 0},
}};
constexpr std::array<CalibrationRow, 6> kCalibrationRows{{
    {"qwen3-8b", 14426, 65.1, 7860, 66.9, 54.5},
    {"qwen3-14b", 12731, 70.2, 7387, 71.0, 58},
    {"qwen3-30b-a3b", 12793, 74.8, 9419, 75.5, 73.6},
    {"qwen3-32b", 12487, 72.8, 8276, 73.9, 66},
    {"r1-distill-8b", 18538, 69.6, 14790, 68.2, 80},
    {"qwen3-8b-gpqa", 10272, 60.8, 4459, 65.7, 43},
}};
}  // namespace

std::span<const PublishedRow> published() {
  return kPublished;
}
std::span<const CalibrationRow> calibration() {
  return kCalibrationRows;
}

}  // namespace lowbit::rcp
