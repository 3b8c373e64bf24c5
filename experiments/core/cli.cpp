#include "experiments/core/cli.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "experiments/core/command_line.hpp"
#include "experiments/core/listing.hpp"
#include "experiments/core/paper_command.hpp"
#include "experiments/core/progress.hpp"
#include "experiments/core/report_print.hpp"
#include "experiments/core/runner.hpp"
#include "experiments/core/signals.hpp"
#include "formats/error.hpp"

namespace lowbit {
namespace {

std::string hyphenated(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

/// Axes and parameters of all figures as options of their own: --kappa 1:12:0.25 is --set kappa=1:12:0.25.
std::vector<std::string> add_setting_options(CommandLine& line, const std::vector<const Experiment*>& known) {
  std::set<std::string> names;
  const auto add = [&](const std::string& name, const std::string& placeholder, const std::string& help) {
    if (!names.insert(name).second) return;
    line.value(hyphenated(name), placeholder, help);
    if (hyphenated(name) != name) line.value(name, placeholder, help).hide(name);
  };
  for (const Experiment* e : known) {
    for (const AxisDeclaration& axis : e->declared().axes) add(axis.name, "LIST", "axis: " + axis.help);
    for (const ParamDeclaration& param : e->declared().params)
      add(param.name, "V", fmt::format("parameter: {} (default {})", param.help, param.fallback.print()));
  }
  return {names.begin(), names.end()};
}

std::string figures_footer(const std::vector<const Experiment*>& known) {
  std::string text = "figures and tables:\n";
  for (const Experiment* e : known) {
    const Declaration& d = e->declared();
    text += fmt::format("  {:<20}{} ({}; about {})\n", d.figure_slug(), d.title, d.figure, duration_text(d.cost));
  }
  const std::vector<PaperCommand> commands = commands_of(known.front()->declared().paper_slug());
  if (!commands.empty()) text += "\ncommands (COMMAND --help):\n";
  for (const PaperCommand& c : commands) text += fmt::format("  {:<20}{}\n", c.name, c.help);
  return text +
         "\nlists: a,b,c; LO:HI:STEP; integers also LO-HI, LO-HI+STEP, LO-HI*FACTOR\n"
         "exit codes: 0 ok, 2 usage, 65 bad data, 66 no such file, 70 internal, 73 cannot create, 74 I/O, 75 "
         "interrupted: "
         "run again with --resume, 130 Ctrl-C\n";
}

CommandLine declare(const std::string& program, const std::string& paper, const std::vector<const Experiment*>& known,
                    std::vector<std::string>& setting_options) {
  CommandLine line(program, fmt::format("the experiments of {} ({})", paper, known.front()->declared().identifier));
  line.words("[FIGURE...]", "which to run; all if none is named", 0)
      .value("out", "DIR", "folder of the result files", "results/runs")
      .abbreviation('o', "out")
      .flag("quick", "the smoke set: seconds instead of minutes")
      .flag("full", "everything, where there is more than the default")
      .value("seed", "N", "seed of all random draws", "1")
      .value("threads", "N", "worker threads (default: the CPUs this process may use)")
      .repeated("set", "NAME=LIST", "values of an axis, or the value of a parameter")
      .value("config", "FILE", "INI file as --print-config writes it; options win over it")
      .flag("print-config", "print the resolved configuration and stop")
      .flag("dry-run", "say what would be computed and stop")
      .flag("describe", "describe the experiments as JSON and stop")
      .flag("list", "list the figures and stop")
      .value("shard", "I/N", "compute part I (from 0) of N; `lowbit merge` joins the parts", "0/1")
      .flag("resume", "reuse what is complete, go on from what was interrupted")
      .flag("force", "replace what is there")
      .flag("reproducible", "leave times and host out of the files: equal runs give equal bytes")
      .value("output", "FORM", "form of stdout: text, json or csv", "text")
      .footer(figures_footer(known));
  setting_options = add_setting_options(line, known);
  return line;
}

std::vector<const Experiment*> select(const std::vector<const Experiment*>& known,
                                      const std::vector<std::string>& words) {
  if (words.empty()) return known;
  std::vector<std::string> names;
  for (const Experiment* e : known) names.push_back(e->declared().figure_slug());
  std::vector<const Experiment*> selected;
  for (const std::string& word : words) {
    const auto found = std::find(names.begin(), names.end(), word);
    if (found == names.end()) {
      std::vector<std::string> accepted = names;
      for (const PaperCommand& c : commands_of(known.front()->declared().paper_slug())) accepted.emplace_back(c.name);
      throw_error(ExitCode::usage, "unknown figure{} '{}'{}", accepted.size() > names.size() ? " or command" : "", word,
                  suggestion(word, accepted));
    }
    const Experiment* e = known[static_cast<std::size_t>(found - names.begin())];
    if (std::find(selected.begin(), selected.end(), e) != selected.end())
      throw_error(ExitCode::usage, "figure '{}' is named twice", word);
    selected.push_back(e);
  }
  return selected;
}

Shard parse_shard(const std::string& text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos)
    throw_error(ExitCode::usage, "--shard: '{}' is not accepted; I/N with 0 <= I < N is", text);
  const std::int64_t count = parse_integer(std::string_view(text).substr(slash + 1), "--shard", 1, 1000000);
  const std::int64_t index = parse_integer(std::string_view(text).substr(0, slash), "--shard", 0, count - 1);
  return {static_cast<std::size_t>(index), static_cast<std::size_t>(count)};
}

bool has_setting(const Declaration& d, const std::string& name) {
  const std::vector<std::string> names = setting_names(d);
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Settings of the command line, each known to at least one of the selected figures.
std::vector<Setting> typed_settings(const CommandLine& line, const std::vector<std::string>& setting_options,
                                    const std::vector<const Experiment*>& selected) {
  std::vector<Setting> typed;
  for (const std::string& name : setting_options)
    for (const std::string& option : std::set<std::string>{name, hyphenated(name)})
      if (line.given(option)) typed.push_back({name, line.text(option), "--" + option});
  for (const std::string& text : line.list("set")) typed.push_back(split_setting(text, "--set"));
  std::vector<std::string> accepted;
  for (const Experiment* e : selected)
    for (const std::string& name : setting_names(e->declared()))
      if (std::find(accepted.begin(), accepted.end(), name) == accepted.end()) accepted.push_back(name);
  std::set<std::string> seen;
  for (const Setting& s : typed) {
    if (std::find(accepted.begin(), accepted.end(), s.name) == accepted.end())
      throw_error(ExitCode::usage, "{}: no selected figure has an axis or parameter '{}'{}", s.place, s.name,
                  suggestion(s.name, accepted));
    if (!seen.insert(s.name).second) throw_error(ExitCode::usage, "{}: '{}' is given twice", s.place, s.name);
  }
  return typed;
}

/// What decides a figure's plan, weakest first: --quick or --full, the configuration file, the command line.
std::vector<Setting> settings_of(const Declaration& d, const CommandLine& line, const Config& config,
                                 const std::vector<Setting>& typed) {
  std::vector<Setting> settings;
  if (line.given("quick")) settings = split_settings(d.quick, "--quick");
  if (line.given("full")) settings = split_settings(d.full.value_or(""), "--full");
  for (const auto& [figure, setting] : config.settings)
    if (figure == d.figure_slug()) settings.push_back(setting);
  for (const Setting& s : typed)
    if (has_setting(d, s.name)) settings.push_back(s);
  return settings;
}

struct Request {
  RunOptions options;
  std::vector<Plan> plans;
  std::string output;
};

Request read_request(const CommandLine& line, const std::string& program, const std::vector<std::string>& arguments,
                     const std::vector<const Experiment*>& known, const std::vector<std::string>& setting_options) {
  if (line.given("quick") && line.given("full")) throw_error(ExitCode::usage, "--quick and --full exclude each other");
  const Config config = line.given("config") ? read_config(line.text("config"), known) : Config{};
  const auto run_value = [&](const std::string& name) {
    for (const auto& [key, value] : config.run)
      if (key == name && !line.given(name)) return value;
    return line.text(name);
  };
  Request request;
  request.output = line.choice("output", {"text", "json", "csv"});
  RunOptions& o = request.options;
  o.folder = run_value("out");
  if (o.folder.empty()) throw_error(ExitCode::usage, "--out: the name of a folder is expected");
  o.threads = run_value("threads").empty() && !line.given("threads")
                  ? default_threads()
                  : static_cast<int>(parse_integer(run_value("threads"), "--threads", 1, 1024));
  o.shard = parse_shard(line.text("shard"));
  o.resume = line.given("resume");
  o.force = line.given("force");
  o.reproducible = line.given("reproducible");
  o.command_line = arguments;
  o.command_line.insert(o.command_line.begin(), program);
  const auto seed = static_cast<std::uint64_t>(parse_integer(run_value("seed"), "--seed", 0));
  const std::vector<const Experiment*> selected = select(known, line.words());
  const std::vector<Setting> typed = typed_settings(line, setting_options, selected);
  for (const Experiment* e : selected)
    request.plans.push_back(make_plan(e->declared(), seed, settings_of(e->declared(), line, config, typed)));
  return request;
}

void print_list_of(const std::vector<const Experiment*>& selected, const CommandLine& line) {
  const std::string form = line.choice("output", {"text", "json", "csv"});
  if (form != "text") return fmt::print("{}", listing(selected, form));
  for (const Experiment* e : selected) fmt::print("{:<20}{}\n", e->declared().figure_slug(), e->declared().title);
}

void print_config(const Request& request, const std::string& paper) {
  if (request.output != "text")
    throw_error(ExitCode::usage, "--print-config prints what --config reads; --output {} is not accepted",
                request.output);
  fmt::print("# configuration of {}; read it with --config\nseed = {}\nout = {}\n", paper, request.plans.front().seed,
             request.options.folder);
  for (const Plan& plan : request.plans) fmt::print("\n{}", plan.config_text());
}

int run_all(const Request& request) {
  watch_signals();
  for (const Plan& plan : request.plans) check_target(plan, request.options);
  std::vector<RunResult> results;
  bool interrupted = false;
  for (const Plan& plan : request.plans) {
    results.push_back(run_plan(plan, request.options));
    if (request.output == "text") fmt::print("{}", text_report(results.back()));
    std::fflush(stdout);
    interrupted =
        results.back().outcome == Outcome::interrupted || (stop_signal() != 0 && &plan != &request.plans.back());
    if (interrupted) break;
  }
  if (request.output == "json") fmt::print("{}", json_report(results));
  if (request.output == "csv") fmt::print("{}", csv_report(results));
  if (!interrupted) return 0;
  fmt::print(stderr, "interrupted by signal {}; --resume goes on from the {} finished points\n", stop_signal(),
             results.back().computed);
  return stop_exit_code();
}

}  // namespace

std::vector<std::string> paper_slugs() {
  std::set<std::string> slugs;
  for (const Experiment& e : experiments()) slugs.insert(e.declared().paper_slug());
  return {slugs.begin(), slugs.end()};
}

std::vector<const Experiment*> experiments_of(const std::string& paper) {
  std::vector<const Experiment*> known;
  for (const Experiment& e : experiments())
    if (e.declared().paper_slug() == paper) known.push_back(&e);
  if (known.empty()) throw_error(ExitCode::usage, "unknown paper '{}'{}", paper, suggestion(paper, paper_slugs()));
  return known;
}

int run_paper(const std::string& program, const std::string& paper, const std::vector<std::string>& arguments) {
  const std::vector<const Experiment*> known = experiments_of(paper);
  if (!arguments.empty())
    for (const PaperCommand& command : commands_of(paper))
      if (arguments.front() == command.name)
        return command.run(fmt::format("{} {}", program, command.name), {arguments.begin() + 1, arguments.end()});
  std::vector<std::string> setting_options;
  CommandLine line = declare(program, paper, known, setting_options);
  if (!line.parse(arguments)) return 0;
  if (line.given("list")) return print_list_of(select(known, line.words()), line), 0;
  const Request request = read_request(line, program, arguments, known, setting_options);
  if (line.given("print-config")) return print_config(request, paper), 0;
  if (line.given("describe")) return fmt::print("{}", describe_json(request.plans, request.options.folder)), 0;
  if (line.given("dry-run")) return fmt::print("{}", dry_run(request.plans, request.options, request.output)), 0;
  return run_all(request);
}

}  // namespace lowbit
