#include "experiments/core/runner.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "experiments/core/journal.hpp"
#include "experiments/core/provenance.hpp"
#include "formats/error.hpp"
#include "results/store/hdf5_file.hpp"

namespace lowbit {
namespace {

bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

std::string stem_of(const std::string& path) {
  return path.substr(0, path.size() - 3);
}

Journal open_journal(const Plan& plan, const std::string& path) {
  static const std::string program = program_fingerprint();
  return Journal(stem_of(path), plan.config_hash() + "." + program, plan.values_per_point());
}

/// First line in which two configurations differ, for messages.
std::string first_difference(const std::string& ours, const std::string& theirs) {
  std::size_t begin = 0;
  for (std::size_t i = 0; i < std::min(ours.size(), theirs.size()) && ours[i] == theirs[i]; ++i)
    if (ours[i] == '\n') begin = i + 1;
  const auto line = [&](const std::string& text) { return text.substr(begin, text.find('\n', begin) - begin); };
  return fmt::format("it has '{}', this run '{}'", line(theirs), line(ours));
}

std::string unavailable_reason(const Plan& plan) {
  return plan.experiment->unavailable ? plan.experiment->unavailable(plan.params) : "";
}

/// The existing result if it is this run's own, complete and undamaged; otherwise Error 73.
store::Group matching_result(const Plan& plan, const RunOptions& options, const std::string& path) {
  store::Group tree;
  try {
    tree = read_result(path);
  } catch (const Error& e) {
    throw_error(ExitCode::cannot_create, "{}; it is not replaced unasked: --force replaces it", e.what());
  }
  const ResultHead head = result_head(tree, path);
  if (head.config_hash == plan.config_hash() && head.shard == options.shard) return tree;
  // a plan that cannot run here has no axes, so that the hashes differ whichever of the two says not_run
  const bool same_start = head.experiment == plan.experiment->name && head.seed == plan.seed &&
                          (head.config.starts_with(plan.config_text()) || plan.config_text().starts_with(head.config));
  if (same_start && head.shard == options.shard &&
      (head.status == to_string(Status::not_run) || !unavailable_reason(plan).empty()))
    return tree;
  const std::string ours = fmt::format("{}\nseed = {}\n{}", plan.experiment->name, plan.seed, plan.config_text());
  const std::string theirs = fmt::format("{}\nseed = {}\n{}", head.experiment, head.seed, head.config);
  throw_error(ExitCode::cannot_create,
              "'{}' holds another configuration ({}); --force replaces it, -o DIR writes elsewhere", path,
              first_difference(ours, theirs));
}

void warn_other_revision(const store::Group& tree, const std::string& path) {
  const store::Group* provenance = tree.group("provenance");
  const store::AttributeValue* sha = provenance ? provenance->attribute("git_sha") : nullptr;
  const auto* text = sha ? std::get_if<std::string>(sha) : nullptr;
  if (text && *text != build().git_sha)
    fmt::print(stderr, "{}: reused; it was computed by revision {}, this program is {}\n", path, text->substr(0, 12),
               build().git_sha.substr(0, 12));
}

/// A result of this plan that may be reused: not one that says not_run while it could run now.
bool reuse(const Plan& plan, const RunOptions& options, RunResult& result) {
  if (!options.resume || options.force || !exists(result.path)) return false;
  const store::Group tree = matching_result(plan, options, result.path);
  const bool was_run = result_head(tree, result.path).status != to_string(Status::not_run);
  if (!was_run) return false;
  warn_other_revision(tree, result.path);
  result.rows = result_rows(tree);
  result.outcome = Outcome::reused;
  return true;
}

void write_result(const Plan& plan, const RunOptions& options, const RunClock& clock, const std::string& path,
                  store::Group tree) {
  tree.groups.push_back(provenance_group(clock, options.threads, options.command_line, options.reproducible));
  store::write_tree(path, tree, options.force || options.resume ? store::Overwrite::replace : store::Overwrite::refuse);
  open_journal(plan, path).remove_all();
}

/// An experiment that cannot run here leaves a file whose rows say why.
void write_not_run(const Plan& plan, const RunOptions& options, const RunClock& clock, const std::string& reason,
                   RunResult& result) {
  result.rows = complete_rows(plan.experiment->figure_slug(), {}, plan.experiment->references);
  for (Row& row : result.rows) row.note = reason + (row.note.empty() ? "" : "; " + row.note);
  result.outcome = Outcome::not_run;
  write_result(plan, options, clock, result.path,
               result_tree(plan, nullptr, options.shard, Status::not_run, result.rows));
}

/// Points that earlier attempts have finished.
void take_journal(const Plan& plan, const Journal& journal, const std::vector<std::size_t>& points,
                  Computed& computed) {
  const auto known = journal.load(plan.point_count());
  for (std::size_t point : points)
    if (const auto found = known.find(point); found != known.end())
      computed.put(plan, point, found->second, Done::computed);
}

}  // namespace

std::string_view to_string(Outcome outcome) {
  constexpr std::string_view kNames[] = {"computed", "reused", "not_run", "interrupted"};
  return kNames[static_cast<int>(outcome)];
}

std::string result_path(const Declaration& experiment, const RunOptions& options) {
  const std::string shard =
      options.shard.count == 1 ? "" : fmt::format(".shard-{}-of-{}", options.shard.index, options.shard.count);
  return fmt::format("{}/{}{}.h5", options.folder, experiment.name, shard);
}

void check_target(const Plan& plan, const RunOptions& options) {
  if (options.force) return;
  const std::string path = result_path(*plan.experiment, options);
  if (exists(path)) {
    matching_result(plan, options, path);
    if (!options.resume)
      throw_error(ExitCode::cannot_create,
                  "'{}' is there already, of the same configuration; --resume reuses it, --force computes it again",
                  path);
  } else if (!options.resume && open_journal(plan, path).any()) {
    throw_error(ExitCode::cannot_create,
                "'{}': an earlier run was interrupted; --resume goes on from its points, --force starts over", path);
  }
}

std::vector<Row> report_rows(const Plan& plan, const Computed& computed) {
  std::vector<Row> rows;
  if (plan.experiment->rows) rows = plan.experiment->rows(Results(plan, computed.outputs));
  return complete_rows(plan.experiment->figure_slug(), std::move(rows), plan.experiment->references);
}

RunResult run_plan(const Plan& plan, const RunOptions& options) {
  use_one_blas_thread();
  const RunClock clock;
  RunResult result{plan.experiment->name, result_path(*plan.experiment, options), Outcome::computed, 0, 0, 0, {}};
  if (reuse(plan, options, result)) return result;
  if (const std::string reason = unavailable_reason(plan); !reason.empty()) {
    write_not_run(plan, options, clock, reason, result);
    result.reason = reason;
    return result;
  }
  const std::vector<std::size_t> points = shard_points(plan, options.shard.index, options.shard.count);
  Computed computed(plan);
  Journal journal = open_journal(plan, result.path);
  if (options.force) journal.remove_all();
  if (options.resume) take_journal(plan, journal, points, computed);
  result.points = points.size();
  result.computed = computed.missing(points);
  const bool finished = compute_points(plan, points, options.threads, journal, computed);
  result.seconds = clock.wall_seconds();
  if (!finished) {
    result.computed -= computed.missing(points);
    result.outcome = Outcome::interrupted;
    return result;
  }
  const bool whole = options.shard.count == 1;
  if (whole) result.rows = report_rows(plan, computed);
  write_result(plan, options, clock, result.path,
               result_tree(plan, &computed, options.shard, whole ? Status::complete : Status::shard, result.rows));
  return result;
}

}  // namespace lowbit
