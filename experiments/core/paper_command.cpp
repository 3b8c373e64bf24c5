#include "experiments/core/paper_command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "experiments/core/experiment.hpp"

namespace lowbit {
namespace {

std::vector<PaperCommand>& registered() {
  static std::vector<PaperCommand> all;
  return all;
}

}  // namespace

PaperCommandRegistrar::PaperCommandRegistrar(const PaperCommand& command) {
  registered().push_back(command);
}

std::vector<PaperCommand> commands_of(std::string_view paper) {
  std::vector<PaperCommand> commands;
  for (const PaperCommand& c : registered())
    if (c.paper == paper) commands.push_back(c);
  std::sort(commands.begin(), commands.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (std::size_t i = 0; i < commands.size(); ++i) {
    const bool twice = i > 0 && commands[i].name == commands[i - 1].name;
    if (twice || find_experiment(fmt::format("{}/{}", paper, commands[i].name)) != nullptr)
      throw std::logic_error(fmt::format("command '{}' of {} is registered twice", commands[i].name, paper));
  }
  return commands;
}

}  // namespace lowbit
