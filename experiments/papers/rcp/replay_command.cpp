// rcp replay: where a stopping rule stops each trace of a file.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "experiments/core/command_line.hpp"
#include "experiments/core/paper_command.hpp"
#include "experiments/core/plain_text.hpp"
#include "experiments/papers/rcp/trace_input.hpp"
#include "formats/error.hpp"
#include "sim/early_exit/registry.hpp"
#include "sim/early_exit/replay.hpp"

namespace lowbit {
namespace {

using namespace rcp;
using early_exit::Stop;
using Words = std::vector<std::string>;

nlohmann::ordered_json record(const early_exit::Trace& t, const std::string& rule, const std::optional<Stop>& stop) {
  nlohmann::ordered_json r{{"id", t.id}, {"rule", rule}, {"stopped_by", "not available"}};
  if (!stop) return r;
  r["stopped_by"] = reason_name(stop->reason);
  r["sentences"] = stop->sentences;
  r["think_tok"] = stop->think_tok;
  r["probe_tok"] = stop->probe_tok;
  r["content_tok"] = stop->content_tok;
  r["ok"] = static_cast<int>(stop->ok);
  return r;
}

void print_row(const early_exit::Trace& t, const std::string& rule, const std::optional<Stop>& stop) {
  if (!stop)
    fmt::print("{}\t{}\tnot available\n", t.id, rule);
  else
    fmt::print("{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n", t.id, rule, reason_name(stop->reason), stop->sentences,
               stop->think_tok, stop->probe_tok, stop->content_tok, static_cast<int>(stop->ok));
}

int replay(const std::string& program, const Words& words) {
  CommandLine line(program, "says where stopping rules stop each trace of a file");
  add_traces(line, "traces as JSON Lines (rcp-trace-1) or as HDF5")
      .repeated("detector", "RULE", "rcpd, rank:at=1, ...: a rule as in the figures; may be given several times")
      .value("output", "FORM", "form of stdout: text (tab-separated) or json (one object a line)", "text");
  add_reading(line).footer(
      "content_tok and ok are -1 where they are unknown; a rule whose signals a trace lacks is not available\n");
  if (!line.parse(words)) return 0;
  const bool json = line.choice("output", {"text", "json"}) == "json";
  std::vector<std::pair<std::string, std::unique_ptr<early_exit::Detector>>> rules;
  for (const std::string& name : line.list("detector")) rules.emplace_back(name, early_exit::make_detector(name));
  if (rules.empty()) rules.emplace_back("rcpd", early_exit::make_detector("rcpd"));
  bool head = json;  // the table has none before its first row: a file that cannot be read leaves nothing on stdout
  const Summary s = stream(traces_path(line), reading(line), [&](const early_exit::Trace& t) {
    if (!std::exchange(head, true))
      fmt::print("id\trule\tstopped_by\tsentences\tthink_tok\tprobe_tok\tcontent_tok\tok\n");
    for (const auto& [name, detector] : rules) {
      const auto stop = early_exit::replay(*detector, t);
      if (json)
        fmt::print("{}\n", json_text(record(t, name, stop)));
      else
        print_row(t, name, stop);
    }
    return std::nullopt;
  });
  return s.report.bad == 0 ? 0 : static_cast<int>(ExitCode::bad_data);
}

LOWBIT_PAPER_COMMAND(rcp, replay, "say where stopping rules stop each trace", replay)

}  // namespace
}  // namespace lowbit
