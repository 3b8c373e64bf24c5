#include "experiments/tools/stream_cast.hpp"

#include <algorithm>
#include <atomic>
#include <memory>

#include "experiments/tools/tensor_pieces.hpp"
#include "experiments/tools/tensor_reader.hpp"
#include "sim/threads.hpp"

namespace lowbit {
namespace {

class Cast {
 public:
  explicit Cast(const CastJob& job)
      : job_(job),
        reader_(job.tensor),
        pieces_(job.layout, {job.format}, {std::shared_ptr<const Transform>(&job.transform, [](const Transform*) {})}),
        threads_(static_cast<std::size_t>(job.threads)),
        errors_(pieces_.piece_count()) {
    context_.stream = job.stream;
    from_double_ = job.tensor.dtype == DType::f64 && !job.format.is_block() && job.transform.block() == 0;
  }

  ErrorSums run(const ValueSink& sink) {
    if (!works_in_units(job_.format)) {
      whole(sink);
    } else {
      if (job_.format.second_level != SecondLevel::none) context_.tensor_amax = rotated_amax();
      over_units([&](const TensorUnit& unit, float* x, float* y) { quantise(unit, x, y, sink); });
    }
    ErrorSums total;
    for (const ErrorSums& piece : errors_) total.add(piece);
    return total;
  }

 private:
  /// Calls use(unit, x, y) for every unit, x and y with room for its values, on all threads.
  template <class Use>
  void over_units(const Use& use) {
    std::atomic<std::size_t> next{0};
    threads_.parallel_for(std::min(threads_.count(), pieces_.unit_count()), [&](std::size_t) {
      std::vector<float> x(pieces_.largest()), y(pieces_.largest());
      for (std::size_t i; (i = next++) < pieces_.unit_count();) use(pieces_.unit(i), x.data(), y.data());
    });
  }

  /// Largest finite magnitude of the transformed tensor.
  float rotated_amax() {
    std::atomic<float> amax{0};
    over_units([&](const TensorUnit& unit, float* x, float*) {
      reader_.read(unit.first, unit.count, x);
      apply(job_.transform, unit.layout, x, x);
      const float here = finite_amax(x, unit.count);
      for (float known = amax; here > known && !amax.compare_exchange_weak(known, here);) {
      }
    });
    return amax;
  }

  void quantise(const TensorUnit& unit, float* x, float* y, const ValueSink& sink) {
    QuantizeContext context = context_;
    context.first_index = unit.first;
    reader_.read(unit.first, unit.count, x);
    if (from_double_) {
      std::vector<double> wide(unit.count);
      reader_.read(unit.first, unit.count, wide.data());
      fake_quantize_ref(job_.format, unit.layout, wide.data(), y, context);
    } else {
      apply_and_quantise(job_.transform, job_.format, unit.layout, !job_.keep_rotated, x, y, context);
    }
    finish(unit, x, y, sink);
  }

  void finish(const TensorUnit& unit, const float* x, const float* y, const ValueSink& sink) {
    for (std::size_t i = unit.first_piece; i < unit.first_piece + unit.pieces; ++i) {
      const auto [first, count] = pieces_.piece(i);
      errors_[i] = error_sums(x + (first - unit.first), y + (first - unit.first), count);
    }
    sink(unit.first, {y, unit.count});
  }

  void whole(const ValueSink& sink) {
    const TensorUnit all{0, job_.layout.size(), job_.layout, 0, pieces_.piece_count(), true};
    std::vector<float> x(all.count), y(all.count);
    reader_.read(0, all.count, x.data());
    apply_and_quantise(job_.transform, job_.format, job_.layout, !job_.keep_rotated, x.data(), y.data(), context_);
    finish(all, x.data(), y.data(), sink);
  }

  const CastJob& job_;
  TensorReader reader_;
  TensorPieces pieces_;
  Threads threads_;
  std::vector<ErrorSums> errors_;
  QuantizeContext context_;
  bool from_double_ = false;
};

}  // namespace

ErrorSums stream_cast(const CastJob& job, const ValueSink& sink) {
  Cast cast(job);
  return job.layout.size() == 0 ? ErrorSums{} : cast.run(sink);
}

}  // namespace lowbit
