// Apart from axes.cpp, so that only experiments with formats need the format names.
#include "experiments/core/axes.hpp"
#include "formats/format.hpp"

namespace lowbit {

Domain format_names() {
  Domain domain = checked([](const std::string& name) { return to_string(parse_format(name)); });
  domain.format_facts = [](const std::string& name) {
    const Format format = parse_format(name);
    return FormatFacts{long_form(format), format.bits_per_value()};
  };
  return domain;
}

Values formats(std::vector<std::string> list) {
  return texts(std::move(list), format_names());
}

}  // namespace lowbit
