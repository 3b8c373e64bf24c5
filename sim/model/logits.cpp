// lm_head: logits from the output of a pass, some rows at a time.
#include <algorithm>
#include <utility>
#include <vector>

#include "sim/huge_pages.hpp"
#include "sim/model/forward.hpp"
#include "sim/model/product.hpp"
#include "sim/model/site_actions.hpp"

namespace lowbit::model {
namespace {

void head_product(const Hooks& hooks, const std::vector<Sequence>& sequences, ConstRows x, Rows logits,
                  Threads& threads) {
  const Model& model = hooks.model();
  const ConstRows w(hooks.data(model.lm_head()), model.config().vocabulary, model.config().hidden);
  const std::size_t site = model.sites().lm_head(LinearPoint::output);
  if (LinearOp* op = hooks.linear_op(-1, kLinears)) {
    for (const Sequence& s : sequences)
      op->apply({model.sites()[site], s, threads}, x.slice(s.first_row, s.rows), w, logits.slice(s.first_row, s.rows));
  } else {
    multiply({x, w, logits}, threads);
  }
  act(hooks, site, sequences, threads, logits);
}

// The input of lm_head after its maps; `copy` holds it where it differs from the output of the pass.
ConstRows head_input(const Hooks& hooks, const PassResult& pass, Matrix& copy, Threads& threads) {
  const std::size_t site = hooks.model().sites().lm_head(LinearPoint::input);
  if (!hooks.used(site)) return pass.output;
  copy = pass.output;
  act(hooks, site, pass.sequences, threads, copy);
  return copy;
}

// Memory of logits whose pass has ended, for the next one: two percent of a pass would go into new pages.
std::vector<Matrix>& spare() {
  static thread_local std::vector<Matrix> matrices;
  return matrices;
}

Matrix take_logits(std::size_t rows, std::size_t columns) {
  Matrix logits;
  if (!spare().empty()) {
    logits = std::move(spare().back());
    spare().pop_back();
  }
  if (rows * columns > logits.rows() * logits.columns()) {
    logits = Matrix(rows, columns);
    ask_for_huge_pages(logits.data(), rows * columns * sizeof(float));
  }
  return logits;
}

}  // namespace

LogitPieces::LogitPieces(const Hooks& hooks, const PassResult& pass, Threads& threads, std::size_t rows)
    : hooks_(hooks),
      pass_(pass),
      threads_(threads),
      rows_(rows),
      logits_(take_logits(std::min(rows, pass.output.rows()), hooks.model().config().vocabulary)),
      input_(head_input(hooks, pass, own_input_, threads)) {}

LogitPieces::~LogitPieces() {
  spare().push_back(std::move(logits_));
}

std::size_t LogitPieces::count() const {
  return (input_.rows + rows_ - 1) / rows_;
}

std::size_t LogitPieces::first_row(std::size_t piece) const {
  return piece * rows_;
}

Rows LogitPieces::compute(std::size_t piece) {
  const std::size_t first = first_row(piece), rows = std::min(rows_, input_.rows - first);
  const Rows out(logits_.data(), rows, hooks_.model().config().vocabulary);
  head_product(hooks_, cut(pass_.sequences, first, rows), input_.slice(first, rows), out, threads_);
  return out;
}

void for_each_logits(const Hooks& hooks, const PassResult& pass, Threads& threads,
                     const std::function<void(std::size_t, Rows)>& consume) {
  LogitPieces pieces(hooks, pass, threads);
  for (std::size_t i = 0; i < pieces.count(); ++i) consume(pieces.first_row(i), pieces.compute(i));
}

Matrix last_logits(const Hooks& hooks, const PassResult& pass, Threads& threads) {
  Matrix copy;
  const ConstRows x = head_input(hooks, pass, copy, threads);
  Matrix last(pass.sequences.size(), x.columns), logits(pass.sequences.size(), hooks.model().config().vocabulary);
  std::vector<Sequence> rows;
  for (std::size_t i = 0; i < pass.sequences.size(); ++i) {
    Sequence s = pass.sequences[i];
    copy_rows(x.slice(s.first_row + s.rows - 1, 1), last.view().slice(i, 1));
    s.first_position += static_cast<std::int64_t>(s.rows) - 1;
    s.first_row = i;
    s.rows = 1;
    rows.push_back(s);
  }
  head_product(hooks, rows, last, logits, threads);
  return logits;
}

}  // namespace lowbit::model
