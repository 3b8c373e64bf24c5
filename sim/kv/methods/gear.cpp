// GEAR (Kang et al., arXiv 2403.05527; github.com/opengear-project/GEAR): X ~ base quantiser + low rank + sparse. The
// base is KIVI's grouping; of each channel (keys) or token (values) the s/2 largest and smallest values are taken out,
// the mean of the vector in their place, and put back exactly; the error of the base is repaired by r factors from
// three passes of power iteration. GEAR-L leaves the sparse part out.
//
// Differs from the paper: a block is whatever is sealed at once (a prompt, or the residual window) or `block` tokens,
// with the same rank for all, where the code takes rank 2 for decoded blocks; values put back and factors are float16.
// Not stated in the paper: the random starting matrix (a fixed stream here).
#include <algorithm>
#include <cmath>
#include <numeric>

#include "sim/kv/group_block.hpp"
#include "sim/kv/half.hpp"
#include "sim/kv/methods/method.hpp"
#include "sim/kv/sparse_list.hpp"
#include "sim/rng.hpp"

namespace lowbit::kv {
namespace {

constexpr double kOutliers = 0.02;  // s
constexpr int kPasses = 3;

using Columns = std::vector<std::vector<double>>;

// Gram-Schmidt, twice; a column without rest becomes zero.
void orthonormalise(Columns& columns) {
  for (std::size_t j = 0; j < columns.size(); ++j)
    for (int round = 0; round < 2; ++round) {
      auto& x = columns[j];
      for (std::size_t i = 0; i < j; ++i) {
        const double product = std::inner_product(x.begin(), x.end(), columns[i].begin(), 0.0);
        for (std::size_t k = 0; k < x.size(); ++k) x[k] -= product * columns[i][k];
      }
      const double norm = std::sqrt(std::inner_product(x.begin(), x.end(), x.begin(), 0.0));
      for (double& v : x) v = norm > 1e-30 ? v / norm : 0;
    }
}

// E P and E^T B.
Columns times(ConstRows e, const Columns& p) {
  Columns out(p.size(), std::vector<double>(e.rows));
  for (std::size_t j = 0; j < p.size(); ++j)
    for (std::size_t t = 0; t < e.rows; ++t)
      for (std::size_t c = 0; c < e.columns; ++c) out[j][t] += e.row(t)[c] * p[j][c];
  return out;
}
Columns times_transposed(ConstRows e, const Columns& b) {
  Columns out(b.size(), std::vector<double>(e.columns));
  for (std::size_t j = 0; j < b.size(); ++j)
    for (std::size_t t = 0; t < e.rows; ++t)
      for (std::size_t c = 0; c < e.columns; ++c) out[j][c] += e.row(t)[c] * b[j][t];
  return out;
}

class GearBlock : public Block {
 public:
  GearBlock(std::unique_ptr<Block> base, SparseList sparse, bool has_sparse)
      : base_(std::move(base)), sparse_(std::move(sparse)), has_sparse_(has_sparse) {}
  void set_factors(const Columns& b, const Columns& p) {
    rank_ = b.size();
    for (const auto& column : b)
      for (const double x : column) b_.push_back(half_code(static_cast<float>(x)));
    for (const auto& column : p)
      for (const double x : column) p_.push_back(half_code(static_cast<float>(x)));
  }
  std::size_t rows() const override { return base_->rows(); }
  void decode(std::size_t first, Rows out) const override {
    base_->decode(first, out);
    for (std::size_t j = 0; j < rank_; ++j)
      for (std::size_t t = 0; t < out.rows; ++t) {
        const float factor = half_value(b_[j * rows() + first + t]);
        for (std::size_t c = 0; c < out.columns; ++c) out.row(t)[c] += factor * half_value(p_[j * out.columns + c]);
      }
    if (has_sparse_) sparse_.put(first, out);
  }
  Bytes bytes() const override {
    Bytes bytes = base_->bytes();
    bytes.factors += 2 * (b_.size() + p_.size());
    if (has_sparse_) sparse_.add_bytes(bytes);
    return bytes;
  }
  void dump(std::vector<std::uint8_t>& out) const override {
    base_->dump(out);
    for (const auto* part : {&b_, &p_}) {
      const auto* data = reinterpret_cast<const std::uint8_t*>(part->data());
      out.insert(out.end(), data, data + 2 * part->size());
    }
    if (has_sparse_) sparse_.dump(out);
  }

 private:
  std::unique_ptr<Block> base_;
  SparseList sparse_;
  bool has_sparse_;
  std::size_t rank_ = 0;
  std::vector<std::uint16_t> b_, p_;  // factors, column after column
};

class GearCodec : public Codec {
 public:
  GearCodec(const Format& format, GroupAxis axis, double outliers, const MethodOptions& options)
      : base_(format, axis, std::nullopt, kUnlimited),
        outliers_(outliers),
        rank_(options.rank),
        rows_(options.block == 0 ? kUnlimited : options.block),
        seed_(options.seed) {}
  /// Blocks of a fixed size are whole; rows do not join a block later.
  std::size_t granule() const override { return rows_ == kUnlimited ? base_.granule() : rows_; }
  std::size_t block_rows() const override { return rows_; }

  std::unique_ptr<Block> seal(ConstRows rows) const override {
    Matrix rest(rows.rows, rows.columns);
    model::copy_rows(rows, rest);
    SparseList sparse;
    if (outliers_ > 0) sparse = take_out(rows, rest);
    auto base = base_.seal(rest);
    Matrix error(rows.rows, rows.columns);
    base->decode(0, error);
    for (std::size_t i = 0; i < rows.rows * rows.columns; ++i) error.data()[i] = rest.data()[i] - error.data()[i];
    auto block = std::make_unique<GearBlock>(std::move(base), std::move(sparse), outliers_ > 0);
    add_factors(error, *block);
    return block;
  }

 private:
  // Replaces the extremes of each vector in `rest` by its mean and lists them.
  SparseList take_out(ConstRows rows, Matrix& rest) const {
    const bool channel = base_.axis() == GroupAxis::channel;
    const std::size_t vectors = channel ? rows.columns : rows.rows, length = channel ? rows.rows : rows.columns;
    const auto side = static_cast<std::size_t>(std::llround(outliers_ / 2 * static_cast<double>(length)));
    std::vector<std::vector<std::uint16_t>> listed(rows.rows);
    std::vector<std::size_t> order(length);
    for (std::size_t i = 0; i < vectors; ++i) {
      const auto value = [&](std::size_t j) { return channel ? rows.row(j)[i] : rows.row(i)[j]; };
      std::iota(order.begin(), order.end(), std::size_t{0});
      std::sort(order.begin(), order.end(),
                [&](std::size_t a, std::size_t b) { return value(a) < value(b) || (value(a) == value(b) && a < b); });
      double mean = 0;
      for (std::size_t j = 0; j < length; ++j) mean += value(j);
      mean /= static_cast<double>(length);
      for (std::size_t k = 0; k < length; ++k) {
        if (k >= side && k < length - side) continue;
        const std::size_t t = channel ? order[k] : i, c = channel ? i : order[k];
        rest.view().row(t)[c] = static_cast<float>(mean);
        listed[t].push_back(static_cast<std::uint16_t>(c));
      }
    }
    SparseList sparse;
    for (std::size_t t = 0; t < rows.rows; ++t) {
      std::sort(listed[t].begin(), listed[t].end());
      sparse.add_row(listed[t], rows.row(t));
    }
    return sparse;
  }

  void add_factors(const Matrix& error, GearBlock& block) const {
    const std::size_t rank = std::min({rank_, error.rows(), error.columns()});
    if (rank == 0) return;
    Rng rng(seed_, "gear");
    Columns p(rank, std::vector<double>(error.columns())), b;
    for (auto& column : p)
      for (double& x : column) x = rng.normal();
    for (int pass = 0; pass < kPasses; ++pass) {
      if (pass + 1 == kPasses) orthonormalise(p);
      b = times(error, p);
      if (pass + 1 == kPasses) orthonormalise(b);
      p = times_transposed(error, b);
      if (pass + 1 < kPasses) scale_down(p);
    }
    block.set_factors(b, p);
  }

  // Keeps the columns in range: their lengths do not matter before the last pass.
  static void scale_down(Columns& columns) {
    for (auto& column : columns) {
      double largest = 0;
      for (const double x : column) largest = std::max(largest, std::abs(x));
      for (double& x : column) x = largest > 0 ? x / largest : 0;
    }
  }

  GroupCodec base_;
  double outliers_;
  std::size_t rank_, rows_;
  std::uint64_t seed_;
};

class Gear : public Method {
 public:
  Gear(const MethodOptions& options, bool outliers) : options_(options), outliers_(outliers ? kOutliers : 0) {}
  LayerRules rules(const LayerShape& shape, const Calibration*) const override {
    const auto side = [&](GroupAxis axis, std::size_t group) {
      Side side;
      side.window = {Window::Kind::filled, options_.residual, options_.sinks};
      side.codecs = {std::make_shared<GearCodec>(code_format(options_, group), axis, outliers_, options_)};
      return side;
    };
    MethodOptions heads = options_;
    heads.group_span_layer = false;
    return {side(GroupAxis::channel, options_.group),
            side(GroupAxis::token, token_group(options_.v_group.value_or(options_.group), heads, shape))};
  }

 private:
  MethodOptions options_;
  double outliers_;
};

}  // namespace

MethodPtr make_gear(const MethodOptions& options, bool outliers) {
  return std::make_shared<Gear>(options, outliers);
}

}  // namespace lowbit::kv
