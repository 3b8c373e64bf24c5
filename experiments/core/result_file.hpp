// The result file of a run (results/schema.md): from a plan and its outputs to a tree, and back.
#pragma once
#include <string>
#include <vector>

#include "experiments/core/compute.hpp"
#include "experiments/core/plan.hpp"
#include "experiments/core/report.hpp"
#include "results/store/tree.hpp"

namespace lowbit {

enum class Status { complete, shard, not_run };
std::string_view to_string(Status status);

/// Which part of a run a file holds.
struct Shard {
  std::size_t index = 0, count = 1;
  bool operator==(const Shard&) const = default;
};

/// The tree without provenance. `computed` may be null for Status::not_run: the file then has no coordinates and
/// outputs.
store::Group result_tree(const Plan& plan, const Computed* computed, Shard shard, Status status,
                         const std::vector<Row>& rows);

/// What a reader needs of a result file before its data.
struct ResultHead {
  std::string experiment, config_hash, status;
  std::uint64_t seed = 1;
  Shard shard;
  std::string config;  ///< resolved configuration, as Plan::config_text
};

/// Reads and checks a result file: filetype, schema version, completeness. Error 65 naming what is wrong.
store::Group read_result(const std::string& path);
ResultHead result_head(const store::Group& tree, const std::string& path);
/// The report rows in a file.
std::vector<Row> result_rows(const store::Group& tree);
/// The plan that a file was made with; Error 65 if this program's experiment would plan it differently.
Plan result_plan(const Declaration& experiment, const ResultHead& head, const std::string& path);
/// Adds the outputs of the points that a file marks as done; Error 65 if arrays are missing or misshapen, or if a point
/// is there already.
void take_outputs(const store::Group& tree, const Plan& plan, const std::string& path, Computed& computed);

}  // namespace lowbit
