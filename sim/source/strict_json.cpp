#include "sim/source/strict_json.hpp"

#include <set>
#include <vector>

#include "formats/error.hpp"
#include "sim/source/text.hpp"

namespace lowbit {

nlohmann::json parse_strict_json(std::string_view text, const std::string& place) {
  using Event = nlohmann::json::parse_event_t;
  constexpr int kDeepest = 32;
  std::vector<std::set<std::string>> open_objects;
  const auto check = [&](int depth, Event event, nlohmann::json& parsed) {
    if (depth > kDeepest) throw_error(ExitCode::bad_data, "{}: JSON nested deeper than {}", place, kDeepest);
    if (event == Event::object_start) open_objects.emplace_back();
    if (event == Event::object_end) open_objects.pop_back();
    if (event == Event::key && !open_objects.back().insert(parsed.get<std::string>()).second)
      throw_error(ExitCode::bad_data, "{}: key {} occurs twice in one JSON object", place,
                  in_quotes(parsed.get<std::string>()));
    return true;
  };
  try {
    return nlohmann::json::parse(text.begin(), text.end(), check);
  } catch (const nlohmann::json::exception& problem) {
    const std::string_view what = problem.what();
    const std::size_t end_of_tag = what.find("] ");
    const std::string_view reason = end_of_tag == what.npos ? what : what.substr(end_of_tag + 2);
    throw_error(ExitCode::bad_data, "{}: invalid JSON: {}", place, in_quotes(reason));
  }
}

bool as_unsigned(const nlohmann::json& value, std::uint64_t& out) {
  if (!value.is_number_unsigned()) return false;
  out = value.get<std::uint64_t>();
  return true;
}

}  // namespace lowbit
