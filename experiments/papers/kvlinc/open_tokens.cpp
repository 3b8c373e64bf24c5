#include "experiments/papers/kvlinc/open_tokens.hpp"

#include <algorithm>
#include <atomic>

#include "experiments/papers/kvlinc/tables.hpp"

namespace lowbit::kvlinc {

void warn_of_open(std::size_t tokens, std::size_t group) {
  static std::atomic_flag said;
  if (tokens < group && group > kKeyGroup && !said.test_and_set())
    fmt::print(stderr,
               "warning: {} tokens are fewer than a group of {} tokens of a channel: such groups stay unquantised\n",
               tokens, group);
}

void add_open_row(std::size_t tokens, std::size_t group, std::vector<Row>& rows) {
  if (tokens >= group) return;
  rows.push_back(exact_row("tokens of the shortest head", static_cast<double>(tokens)));
  rows.back().note = fmt::format("fewer than a group of {} tokens of a channel: such groups stay unquantised", group);
}

void add_open_row(const Results& results, std::size_t group, std::vector<Row>& rows) {
  std::size_t tokens = group;
  const Params& params = results.params();
  for (const Value& tensor : results.coordinates("tensor"))
    tokens = std::min(tokens, is_seed(tensor.text()) ? static_cast<std::size_t>(params.integer("length"))
                                                     : TensorFile(params.text("tensors")).tokens());
  add_open_row(tokens, group, rows);
}

}  // namespace lowbit::kvlinc
