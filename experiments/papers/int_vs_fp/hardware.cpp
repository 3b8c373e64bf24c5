// Table 6: gate counts of the multiply-accumulate datapaths. Table 5 (energy, area) needs the cell factors of a TSMC
// library, which are not published: its numbers are quoted, not computed.
#include <algorithm>

#include "experiments/papers/int_vs_fp/gates.hpp"
#include "experiments/papers/int_vs_fp/reference.hpp"

namespace lowbit {
namespace {
using namespace int_vs_fp;

std::vector<std::string> names(auto&& items, auto&& name_of) {
  std::vector<std::string> all;
  for (const auto& item : items) all.emplace_back(name_of(item));
  return all;
}

const Datapath& datapath(std::string_view name) {
  return *std::find_if(kDatapaths.begin(), kDatapaths.end(), [&](const Datapath& path) { return path.name == name; });
}

Record compute_hardware(const Point& p, Rng) {
  std::vector<double> gates;
  for (std::size_t kind = 0; kind < kGateKindNames.size(); ++kind) {
    gates.push_back(gate_count(datapath(p.text("format")), static_cast<GateKind>(kind)));
  }
  return Record{}.set("gates", gates);
}

std::vector<Row> hardware_rows(const Results& results) {
  std::vector<Row> rows;
  for (const auto& path : kDatapaths) {
    for (const auto kind : kGateKindNames) {
      if (path.is_integer() && kind != "multiplier" && kind != "adder") continue;
      rows.push_back(exact_row(fmt::format("gates[format={},cell={}]", path.name, kind),
                               results.at("gates", {{"format", std::string(path.name)}, {"cell", std::string(kind)}})));
    }
  }
  return rows;
}

Experiment hardware() {
  return with_references(
      Experiment{"int_vs_fp/hardware"}
          .paper(kPaper, "Table 6", "Gate counts of a multiply-accumulate lane group (Table 5 is quoted only)")
          .axis("format", texts(names(kDatapaths, [](const Datapath& path) { return path.name; })), "", "block format")
          .dim("cell", texts(names(kGateKindNames, [](auto name) { return name; })), "", "kind of cell")
          .draws_vary_with({})
          .output("gates", "gates", "k lanes, x exponent bits, y mantissa bits, n = min(2^(x+1) + 2y, 24): Table 6",
                  {"cell"})
          .reference_table({"table5",
                            "Table 5, relative to MXFP8 at equal throughput; cell factors not published",
                            {{"format", {"mxfp8_e4m3", "mxint8", "nvfp4", "nvint4"}},
                             {"energy", {1.0, 0.63, 0.55, 0.34}},
                             {"area", {1.0, 0.79, 0.54, 0.38}}}})
          .quick("")
          .cost(0.1)
          .point(compute_hardware)
          .rows(hardware_rows));
}
LOWBIT_REGISTER(hardware);

}  // namespace
}  // namespace lowbit
