// GPTQ: rounding column by column, each error made good by the columns that are still free.
#pragma once
#include <armadillo>

#include <cstddef>
#include <vector>

#include "sim/model/tensor.hpp"
#include "sim/threads.hpp"
#include "sim/weights/grid.hpp"

namespace lowbit::weights {

enum class ColumnOrder {
  index,
  act  ///< by falling diagonal of H (of equal ones the lower index first): static act-order, scales stay in their
       ///< groups
};

struct GptqOptions {
  double damping = 0.01;    ///< times the mean diagonal of H, added to the diagonal
  std::size_t block = 128;  ///< columns whose errors are applied to the rest together; does not change the result
  ColumnOrder order = ColumnOrder::index;
};

/// Factor of a Hessian, ready for any matrix with these columns.
struct GptqFactor {
  arma::mat upper;                 ///< U, upper triangular, U^T U = (H + damping)^-1, in the order of `order`
  std::vector<std::size_t> order;  ///< column that stands at each place
  std::size_t dead_columns = 0;
  bool fell_back = false;  ///< H + damping is not positive definite: U = I, which is rounding to nearest
};

/// moment: H up to a factor, symmetric (columns x columns). Columns without input (H_jj = 0) and those marked in
/// `dead_weights` (all weights zero) get a zero row and column with diagonal 1: they take no part. Error (bad_data):
/// NaN or Inf, a negative diagonal, no symmetry (1e-4 of the largest value), another size. Frantar et al., GPTQ,
/// arXiv:2210.17323, algorithm 1; the order of the steps is that of FP-Quant's gptq.py.
GptqFactor gptq_factor(const arma::mat& moment, const std::vector<bool>& dead_weights, const GptqOptions& options);

/// q = the weights w (out x in) on the grid. Double arithmetic; rows are independent of each other and of threads.
void gptq(ConstRows w, const GptqFactor& factor, const Grid& grid, const GptqOptions& options, Rows q,
          Threads& threads);

/// Columns of w that hold zeros alone.
std::vector<bool> zero_columns(ConstRows w);

/// Errors of a layer relative to its energy: tr((w - q) H (w - q)^T) / tr(w H w^T), in double; an empty H counts as the
/// identity. 0 where the numerator is.
class WeightedError {
 public:
  /// moment: symmetric, columns x columns, or empty. w (out x in) must outlive this.
  WeightedError(ConstRows w, const arma::mat& moment, Threads& threads);
  double of(ConstRows q) const;

 private:
  template <class Row>
  double energy(Row row) const;

  ConstRows w_;
  arma::mat half_;  ///< upper triangle of H with half of its diagonal: e H e^T is twice e half e^T
  Threads& threads_;
  double energy_ = 0;
};
double weighted_error(ConstRows w, ConstRows q, const arma::mat& moment);

}  // namespace lowbit::weights
