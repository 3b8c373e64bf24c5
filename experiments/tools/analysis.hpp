// Statistics of a tensor and of its quantised forms: what `lowbit analyze` reports.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "formats/block.hpp"
#include "sim/metric/crest_factor.hpp"
#include "sim/metric/quantisation_error.hpp"
#include "sim/source/stored_tensor.hpp"
#include "sim/tensor.hpp"
#include "sim/transform/transform.hpp"

namespace lowbit {

/// Groups of the crest factors: the whole axis, and the block sizes in use.
inline constexpr long kCrestGroups[] = {kChannelGroup, 256, 128, 64, 32, 16};

/// One row: a tensor under a transform in one group size.
struct CrestRow {
  long group;
  CrestFactors crest;
};

/// One format's result. Everything is measured in the domain of the transform, which keeps sums of squares.
struct FormatRow {
  std::string format;
  QuantisationError error;
  /// Fraction of all values that lie beyond the largest value that their block can express (cut, or become infinite).
  /// NaN where the format has no codes to tell from, and where a value is NaN or Inf.
  double clipped_fraction;
  double zeroed_fraction;  ///< fraction of all values that are not zero and become zero
};

/// The INT and FP formats of a pair have the same width, groups and kind of scale.
struct PairRow {
  std::string integer, floating;
  std::string winner;  ///< "int", "fp" or "tie": the higher QSNR; empty where a QSNR is undefined
  double delta_db;     ///< QSNR of the integer format minus that of the floating one
};

struct TransformAnalysis {
  std::string transform;
  double excess_kurtosis;
  std::vector<CrestRow> rows;
  std::vector<FormatRow> formats;
  std::vector<PairRow> pairs;
};

struct TensorAnalysis {
  std::string tensor;
  Shape shape;
  int axis;
  std::vector<TransformAnalysis> transforms;
};

/// Reads the tensor twice, piece by piece, whatever the number of formats: moments, maxima and crest factors first,
/// then what needs them. Memory does not grow with the tensor, but for tensors and formats that need all values at
/// once: stored in Fortran order or in .h5 files, groups of a whole tensor, tiles, like=. `threads`: results do not
/// depend on it.
TensorAnalysis analyse(const std::string& name, const StoredTensor& tensor, const Layout& layout,
                       const std::vector<std::shared_ptr<const Transform>>& transforms,
                       const std::vector<Format>& formats, int threads);

}  // namespace lowbit
