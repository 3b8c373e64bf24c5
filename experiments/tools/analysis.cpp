#include "experiments/tools/analysis.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <mutex>

#include "experiments/tools/analysis_crest.hpp"
#include "experiments/tools/clipping.hpp"
#include "experiments/tools/codes_file.hpp"
#include "experiments/tools/tensor_pieces.hpp"
#include "experiments/tools/tensor_reader.hpp"
#include "formats/like/like.hpp"
#include "formats/random.hpp"
#include "sim/metric/kurtosis.hpp"
#include "sim/threads.hpp"

namespace lowbit {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

bool are_a_pair(const Format& a, const Format& b) {
  return a.element->is_integer() && b.element->is_float() && a.element->bits == b.element->bits && a.group == b.group &&
         a.group_size == b.group_size && a.tile_rows == b.tile_rows && a.scale_element == b.scale_element &&
         a.rule == b.rule && a.second_level == b.second_level && a.like == b.like;
}

std::vector<PairRow> make_pairs(const std::vector<Format>& formats, const std::vector<FormatRow>& rows) {
  std::vector<PairRow> pairs;
  for (std::size_t i = 0; i < formats.size(); ++i)
    for (std::size_t f = 0; f < formats.size(); ++f) {
      if (!are_a_pair(formats[i], formats[f])) continue;
      const double a = rows[i].error.qsnr_db, b = rows[f].error.qsnr_db;
      const double delta = std::isfinite(a) && std::isfinite(b) ? a - b : kNan;
      const char* winner = std::isnan(a) || std::isnan(b) ? "" : a > b ? "int" : a < b ? "fp" : "tie";
      pairs.push_back({rows[i].format, rows[f].format, winner, delta});
    }
  return pairs;
}

/// One format on one transform: what adds up over the pieces of the tensor.
struct FormatSums {
  explicit FormatSums(const Format& f, std::size_t pieces) : format(f), clips(f), errors(pieces) {}
  const Format& format;
  ClipCounter clips;
  std::vector<ErrorSums> errors;  ///< a piece each
  std::atomic<std::size_t> clipped{0};

  /// Values of one unit; `finite`: x holds no NaN and no Inf, without which no fraction is told.
  void add(const TensorPieces& pieces, const TensorUnit& unit, const Layout& layout, const float* x, float* y,
           const QuantizeContext& context, bool finite) {
    fake_quantize(format, layout, x, y, context);
    if (finite && has_codes(format)) clipped += clips.count(layout, x, y, encode(format, layout, x, context));
    for (std::size_t i = 0; i < unit.pieces; ++i) {
      const auto [first, count] = pieces.piece(unit.first_piece + i);
      errors[unit.first_piece + i] = error_sums(x + (first - unit.first), y + (first - unit.first), count);
    }
  }

  FormatRow row(std::size_t n, bool finite) const {
    ErrorSums total;
    for (const ErrorSums& piece : errors) total.add(piece);
    const double size = static_cast<double>(n);
    const bool told = n > 0 && finite && has_codes(format);
    return {to_string(format), quantisation_error(total), told ? static_cast<double>(clipped) / size : kNan,
            n > 0 ? static_cast<double>(total.zeroed) / size : kNan};
  }
};

/// Everything about one transform.
struct TransformSums {
  TransformSums(const Transform& t, const std::vector<Format>& list, const TensorPieces& pieces)
      : transform(t), sums(pieces.piece_count()), central(pieces.piece_count()), row_parts(pieces.unit_count()) {
    for (const Format& format : list) formats.push_back(std::make_unique<FormatSums>(format, pieces.piece_count()));
  }
  const Transform& transform;
  std::vector<BlockSums> sums;
  std::vector<CentralSums> central;
  std::vector<BlockPower> row_parts;
  BlockSums total;
  CrestTally crest;
  std::vector<CrestTally::Kept> kept;
  std::vector<std::unique_ptr<FormatSums>> formats;
  std::atomic<bool> constant{true};
  float first_value = 0;  ///< of the transformed tensor
  std::mutex mutex;

  bool finite() const { return std::isfinite(total.sum2); }
  double mean() const { return total.sum / static_cast<double>(total.count); }
};

class Analysis {
 public:
  Analysis(const StoredTensor& tensor, const Layout& layout,
           const std::vector<std::shared_ptr<const Transform>>& transforms, const std::vector<Format>& formats,
           std::uint64_t stream, int threads)
      : reader_(tensor),
        layout_(layout),
        pieces_(layout, formats, transforms),
        stream_(stream),
        threads_(static_cast<std::size_t>(threads)) {
    for (const auto& transform : transforms)
      transforms_.push_back(std::make_unique<TransformSums>(*transform, formats, pieces_));
  }

  std::vector<TransformAnalysis> run(const std::vector<Format>& formats) {
    over_units([this](TransformSums& t, CrestTally& tally, CrestTally::Kept&, const Unit& u) { first(t, tally, u); });
    for (const auto& t : transforms_) {
      for (const BlockSums& piece : t->sums) t->total.add(piece);
      t->crest.add_rows(t->row_parts, pieces_.units_per_row());
      t->crest.choose_bins();
    }
    over_units([this](TransformSums& t, CrestTally&, CrestTally::Kept& kept, const Unit& u) { second(t, kept, u); });
    whole_formats();
    std::vector<TransformAnalysis> results;
    for (const auto& t : transforms_) results.push_back(result(*t, formats));
    return results;
  }

 private:
  /// A unit at work: the transformed values, and room for the quantised ones.
  struct Unit {
    std::size_t number;
    const TensorUnit& place;
    const float* x;
    float* y;
  };

  /// Calls pass(transform, tally, kept, unit) for every transform of every unit, on all threads; each has tallies of
  /// its own.
  template <class Pass>
  void over_units(const Pass& pass) {
    std::atomic<std::size_t> next{0};
    threads_.parallel_for(std::min(threads_.count(), pieces_.unit_count()), [&](std::size_t) {
      std::vector<float> x(pieces_.largest()), t(x.size()), y(x.size());
      std::vector<CrestTally> tallies(transforms_.size());
      std::vector<CrestTally::Kept> kept(transforms_.size());
      for (std::size_t i; (i = next++) < pieces_.unit_count();) {
        const TensorUnit unit = pieces_.unit(i);
        reader_.read(unit.first, unit.count, x.data());
        for (std::size_t k = 0; k < transforms_.size(); ++k) {
          const Transform& transform = transforms_[k]->transform;
          if (transform.block() != 0) apply(transform, unit.layout, x.data(), t.data());
          pass(*transforms_[k], tallies[k], kept[k], {i, unit, transform.block() != 0 ? t.data() : x.data(), y.data()});
        }
      }
      for (std::size_t k = 0; k < transforms_.size(); ++k) {
        const std::lock_guard lock(transforms_[k]->mutex);
        transforms_[k]->crest.merge(tallies[k]);
        transforms_[k]->kept.push_back(std::move(kept[k]));
      }
    });
  }

  template <class Use>
  void for_pieces(const TensorUnit& unit, const Use& use) const {
    for (std::size_t i = unit.first_piece; i < unit.first_piece + unit.pieces; ++i) {
      const auto [first, count] = pieces_.piece(i);
      use(i, first - unit.first, count);
    }
  }

  void first(TransformSums& t, CrestTally& tally, const Unit& u) {
    for_pieces(u.place,
               [&](std::size_t i, std::size_t at, std::size_t n) { t.sums[i] = block_sums(u.x + at, nullptr, n); });
    tally.count(u.place, u.x, t.row_parts, u.number);
    if (t.constant && !std::all_of(u.x, u.x + u.place.count, [&](float v) { return v == u.x[0]; })) t.constant = false;
    const std::lock_guard lock(t.mutex);
    if (u.number == 0) t.first_value = u.x[0];
  }

  void second(TransformSums& t, CrestTally::Kept& kept, const Unit& u) {
    for_pieces(u.place, [&](std::size_t i, std::size_t at, std::size_t n) {
      t.central[i] = central_sums(u.x + at, n, t.mean());
    });
    t.crest.keep(u.place, u.x, kept);
    if (t.constant && u.x[0] != t.first_value) t.constant = false;
    QuantizeContext context;
    context.stream = stream_;
    context.first_index = u.place.first;
    context.tensor_amax = t.total.amax;
    for (const auto& format : t.formats)
      if (works_in_units(format->format)) format->add(pieces_, u.place, u.place.layout, u.x, u.y, context, t.finite());
  }

  /// The formats that need all values at once.
  void whole_formats() {
    const TensorUnit all{0, layout_.size(), layout_, 0, pieces_.piece_count(), true};
    std::vector<float> values, x, y;
    for (const auto& t : transforms_)
      for (const auto& format : t->formats) {
        if (works_in_units(format->format) || all.count == 0) continue;
        if (values.empty()) {
          values.resize(all.count);
          reader_.read(0, all.count, values.data());
        }
        x.resize(all.count);
        y.resize(all.count);
        apply(t->transform, layout_, values.data(), x.data());
        format->add(pieces_, all, layout_, x.data(), y.data(), {stream_, 0, std::nullopt}, t->finite());
      }
  }

  TransformAnalysis result(const TransformSums& t, const std::vector<Format>& formats) const {
    CentralSums central;
    for (const CentralSums& piece : t.central) central.add(piece);
    TransformAnalysis out{t.transform.name(),
                          t.constant ? kNan : excess_kurtosis(central, t.total.count),
                          t.crest.result(t.kept),
                          {},
                          {}};
    for (const auto& format : t.formats) out.formats.push_back(format->row(layout_.size(), t.finite()));
    out.pairs = make_pairs(formats, out.formats);
    return out;
  }

  TensorReader reader_;
  const Layout& layout_;
  TensorPieces pieces_;
  std::uint64_t stream_;
  Threads threads_;
  std::vector<std::unique_ptr<TransformSums>> transforms_;
};

}  // namespace

TensorAnalysis analyse(const std::string& name, const StoredTensor& tensor, const Layout& layout,
                       const std::vector<std::shared_ptr<const Transform>>& transforms,
                       const std::vector<Format>& formats, int threads) {
  Analysis analysis(tensor, layout, transforms, formats, stream_of(name), threads);
  return {name, tensor.shape, layout.axis, analysis.run(formats)};
}

}  // namespace lowbit
