#include <fmt/format.h>
#include <unistd.h>

#include <map>

#include "experiments/core/provenance.hpp"
#include "experiments/core/runner.hpp"
#include "formats/error.hpp"
#include "results/store/hdf5_file.hpp"

namespace lowbit {
namespace {

struct Part {
  std::string path;
  store::Group tree;
  ResultHead head;
  std::string revision;
};

std::string revision_of(const store::Group& tree) {
  const store::Group* provenance = tree.group("provenance");
  if (!provenance) return "unknown";
  const store::AttributeValue* sha = provenance->attribute("git_sha");
  const auto* text = sha ? std::get_if<std::string>(sha) : nullptr;
  return text ? *text : "unknown";
}

Part read_part(const std::string& path) {
  Part part{path, read_result(path), {}, {}};
  part.head = result_head(part.tree, path);
  part.revision = revision_of(part.tree);
  if (part.head.status == to_string(Status::not_run))
    throw_error(ExitCode::bad_data, "'{}' was not run; only computed shards can be merged", path);
  return part;
}

void check_same(const Part& first, const Part& part) {
  const auto differ = [&](const std::string& what, const std::string& a, const std::string& b) {
    if (a != b)
      throw_error(ExitCode::bad_data, "'{}' and '{}' differ in {}: '{}' and '{}'", first.path, part.path, what, a, b);
  };
  differ("experiment", first.head.experiment, part.head.experiment);
  differ("configuration", first.head.config_hash, part.head.config_hash);
  differ("program revision", first.revision, part.revision);
  differ("number of shards", fmt::to_string(first.head.shard.count), fmt::to_string(part.head.shard.count));
}

/// Every shard once, in order.
void check_complete(const std::vector<Part>& parts) {
  std::map<std::size_t, const Part*> by_index;
  for (const Part& part : parts) {
    check_same(parts.front(), part);
    if (const auto [at, added] = by_index.emplace(part.head.shard.index, &part); !added)
      throw_error(ExitCode::bad_data, "'{}' and '{}' are both shard {}", at->second->path, part.path,
                  part.head.shard.index);
  }
  std::string missing;
  for (std::size_t i = 0; i < parts.front().head.shard.count; ++i)
    if (!by_index.count(i)) missing += (missing.empty() ? "" : ", ") + fmt::to_string(i);
  if (!missing.empty())
    throw_error(ExitCode::bad_data, "shards {} of {} of {} are missing", missing, parts.front().head.shard.count,
                parts.front().head.experiment);
}

}  // namespace

RunResult merge_results(const std::vector<std::string>& files, const std::string& out, bool force, bool reproducible,
                        const std::vector<std::string>& command_line) {
  const RunClock clock;
  if (!force && ::access(out.c_str(), F_OK) == 0)
    throw_error(ExitCode::cannot_create, "'{}' exists; --force replaces it", out);
  std::vector<Part> parts;
  for (const std::string& file : files) parts.push_back(read_part(file));
  check_complete(parts);
  const Part& first = parts.front();
  const Experiment* experiment = find_experiment(first.head.experiment);
  if (!experiment)
    throw_error(ExitCode::bad_data, "'{}' is of experiment '{}', which this program does not have", first.path,
                first.head.experiment);
  const Plan plan = result_plan(experiment->declared(), first.head, first.path);
  Computed computed(plan);
  for (const Part& part : parts) take_outputs(part.tree, plan, part.path, computed);
  for (std::size_t point = 0; point < computed.done.size(); ++point)
    if (computed.done[point] == 0)
      throw_error(ExitCode::bad_data, "no shard of {} holds point {}", first.head.experiment, point);
  RunResult result{first.head.experiment, out, Outcome::computed, computed.done.size(), 0, 0, {}};
  result.rows = report_rows(plan, computed);
  store::Group tree = result_tree(plan, &computed, {}, Status::complete, result.rows);
  tree.groups.push_back(provenance_group(clock, 1, command_line, reproducible));
  store::write_tree(out, tree, force ? store::Overwrite::replace : store::Overwrite::refuse);
  result.seconds = clock.wall_seconds();
  return result;
}

}  // namespace lowbit
