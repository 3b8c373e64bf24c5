#include "sim/model/site_actions.hpp"

namespace lowbit::model {

void act(const Hooks& hooks, std::size_t site, const std::vector<Sequence>& sequences, Threads& threads, Rows rows) {
  if (!hooks.used(site)) return;
  for (const Sequence& sequence : sequences) {
    const Rows own = rows.slice(sequence.first_row, sequence.rows);
    const Tensor tensor{hooks.model().sites()[site], sequence, threads};
    for (const Hooks::Action& action : hooks.actions(site)) {
      if (action.map) action.map->apply(tensor, own);
      if (action.observer) action.observer(tensor, own);
    }
  }
}

void act_backward(const Hooks& hooks, std::size_t site, const std::vector<Sequence>& sequences, Threads& threads,
                  Rows gradient) {
  const auto& actions = hooks.actions(site);
  for (const Sequence& sequence : sequences)
    for (auto action = actions.rbegin(); action != actions.rend(); ++action)
      if (action->map)
        action->map->backward({hooks.model().sites()[site], sequence, threads},
                              gradient.slice(sequence.first_row, sequence.rows));
}

std::vector<Sequence> cut(const std::vector<Sequence>& sequences, std::size_t first, std::size_t count) {
  std::vector<Sequence> parts;
  for (Sequence s : sequences) {
    const std::size_t begin = std::max(s.first_row, first), end = std::min(s.first_row + s.rows, first + count);
    if (begin >= end) continue;
    s.first_position += static_cast<std::int64_t>(begin - s.first_row);
    s.first_row = begin - first;
    s.rows = end - begin;
    parts.push_back(s);
  }
  return parts;
}

bool has_maps(const Hooks& hooks, std::size_t site) {
  if (!hooks.used(site)) return false;
  for (const Hooks::Action& action : hooks.actions(site))
    if (action.map) return true;
  return false;
}

}  // namespace lowbit::model
