// ResQ's KV cache (Saxena et al., arXiv 2412.14363; github.com/utkarsh-dmx/project-resq): keys and values in a basis
// from the principal components of calibration tokens; the d/8 components of largest variance at 8 bits, the others at
// few, each part turned by a random orthogonal matrix; one group a token and part.
//
// Differs from the paper: one basis a head. Not stated for this use: grouping and clipping of 2-bit KV caches, whether
// the covariance is centred (it is not here), before or after RoPE (after).
#include <algorithm>
#include <cmath>
#include <numeric>

#include "formats/error.hpp"
#include "sim/kv/group_block.hpp"
#include "sim/kv/methods/method.hpp"
#include "sim/rng.hpp"
#include "sim/transform/dense.hpp"
#include "sim/transform/orthogonal.hpp"

namespace lowbit::kv {
namespace {

constexpr int kHighBits = 8;

// Two blocks side by side: the first channels in one format, the others in another.
class SplitBlock : public Block {
 public:
  SplitBlock(std::size_t split, std::unique_ptr<Block> high, std::unique_ptr<Block> low)
      : split_(split), high_(std::move(high)), low_(std::move(low)) {}
  std::size_t rows() const override { return high_->rows(); }
  void decode(std::size_t first, Rows out) const override {
    high_->decode(first, out.part(0, split_));
    low_->decode(first, out.part(split_, out.columns - split_));
  }
  Bytes bytes() const override {
    Bytes bytes = high_->bytes();
    bytes.add(low_->bytes());
    return bytes;
  }
  void dump(std::vector<std::uint8_t>& out) const override {
    high_->dump(out);
    low_->dump(out);
  }
  Block& high() { return *high_; }
  Block& low() { return *low_; }

 private:
  std::size_t split_;
  std::unique_ptr<Block> high_, low_;
};

class SplitCodec : public Codec {
 public:
  /// `basis`: of the rows; part of what must be stored.
  SplitCodec(std::size_t split, const Format& high, const Format& low, std::shared_ptr<const Transform> basis)
      : split_(split), high_(high, GroupAxis::token), low_(low, GroupAxis::token), basis_(std::move(basis)) {}
  std::size_t granule() const override { return 1; }
  std::size_t block_rows() const override { return high_.block_rows(); }
  std::unique_ptr<Block> seal(ConstRows rows) const override {
    return std::make_unique<SplitBlock>(split_, high_.seal(rows.part(0, split_)),
                                        low_.seal(rows.part(split_, rows.columns - split_)));
  }
  /// The basis, a square matrix of float16.
  std::vector<Table> tables() const override {
    Bytes bytes;
    bytes.factors = 2 * basis_->block() * basis_->block();
    return {{basis_.get(), bytes}};
  }
  void extend(Block& block, ConstRows rows) const override {
    auto& split = static_cast<SplitBlock&>(block);
    high_.extend(split.high(), rows.part(0, split_));
    low_.extend(split.low(), rows.part(split_, rows.columns - split_));
  }

 private:
  std::size_t split_;
  GroupCodec high_, low_;
  std::shared_ptr<const Transform> basis_;
};

// Columns: principal directions, each part turned by a random orthogonal matrix.
std::shared_ptr<const Transform> basis(ConstRows rows, std::size_t split, std::uint64_t seed, const char* name) {
  const std::size_t d = rows.columns;
  std::vector<double> covariance(d * d);
  for (std::size_t t = 0; t < rows.rows; ++t)
    for (std::size_t i = 0; i < d; ++i)
      for (std::size_t j = 0; j < d; ++j)
        covariance[i * d + j] += static_cast<double>(rows.row(t)[i]) * rows.row(t)[j] / static_cast<double>(rows.rows);
  const std::vector<double> principal = principal_directions(covariance, d);  // columns, largest first
  std::vector<double> turned(d * d);
  for (const auto& [first, count] : {std::pair{std::size_t{0}, split}, std::pair{split, d - split}}) {
    Rng rng(seed, std::string("resq ") + name + (first == 0 ? " high" : " low"));
    const std::vector<double> random = random_orthogonal(count, rng);
    for (std::size_t i = 0; i < d; ++i)
      for (std::size_t j = 0; j < count; ++j)
        for (std::size_t k = 0; k < count; ++k)
          turned[i * d + first + j] += principal[i * d + first + k] * random[k * count + j];
  }
  return std::make_shared<DenseTransform>("resq", d, std::move(turned));
}

class ResQ : public Method {
 public:
  explicit ResQ(const MethodOptions& options) : options_(options) {}
  bool fitted() const override { return true; }
  LayerRules rules(const LayerShape& shape, const Calibration* given) const override {
    const Calibration& calibration = fitting_tokens(given, "resq");
    const std::size_t d = shape.head_dim, split = std::max<std::size_t>(1, d / 8);
    MethodOptions high = options_;
    high.bits = kHighBits;
    high.format.reset();
    const auto side = [&](ConstRows rows, const char* name) {
      Side side;
      side.window = {Window::Kind::sliding, options_.residual, options_.sinks};
      for (std::size_t h = 0; h < shape.kv_heads; ++h) {
        side.bases.push_back(basis(rows.part(h * d, d), split, options_.seed, name));
        side.codecs.push_back(std::make_shared<SplitCodec>(split, code_format(high, split),
                                                           code_format(options_, d - split), side.bases.back()));
      }
      return side;
    };
    return {side(calibration.k, "k"), side(calibration.v, "v")};
  }

 private:
  MethodOptions options_;
};

}  // namespace

MethodPtr make_resq(const MethodOptions& options) {
  return std::make_shared<ResQ>(options);
}

}  // namespace lowbit::kv
