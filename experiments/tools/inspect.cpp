// lowbit inspect: what an HDF5 file of ours holds, and its data as CSV or JSON for those without Python.
#include <cmath>
#include <nlohmann/json.hpp>

#include "experiments/core/command_line.hpp"
#include "experiments/core/report_print.hpp"
#include "experiments/core/result_file.hpp"
#include "experiments/tools/verb.hpp"
#include "formats/error.hpp"
#include "results/store/hdf5_file.hpp"

namespace lowbit {
namespace {

using Json = nlohmann::ordered_json;
using store::Array;
using store::Group;

std::string value_text(const store::ArrayData& data, std::size_t i) {
  return std::visit(
      [i](const auto& values) -> std::string {
        using T = typename std::decay_t<decltype(values)>::value_type;
        if constexpr (std::is_same_v<T, std::string>) return values[i];
        if constexpr (std::is_floating_point_v<T>) return exact_number(values[i]);
        if constexpr (std::is_integral_v<T>) return fmt::format("{}", +values[i]);
      },
      data);
}

Json value_json(const store::ArrayData& data, std::size_t i) {
  return std::visit(
      [i](const auto& values) -> Json {
        using T = typename std::decay_t<decltype(values)>::value_type;
        if constexpr (std::is_floating_point_v<T>)
          if (!std::isfinite(values[i])) return nullptr;
        return values[i];
      },
      data);
}

Json attribute_json(const store::AttributeValue& value) {
  return std::visit(
      [](const auto& v) -> Json {
        if constexpr (std::is_same_v<std::decay_t<decltype(v)>, double>)
          if (!std::isfinite(v)) return nullptr;
        return v;
      },
      value);
}

const char* type_name(const store::ArrayData& data) {
  constexpr const char* kNames[] = {"float64", "float32", "int64", "uint8", "uint16", "uint32", "text"};
  return kNames[data.index()];
}

std::string extent_text(const Array& array) {
  std::string text;
  for (std::size_t d = 0; d < array.shape.size(); ++d)
    text += fmt::format("{}{}{}", d ? ", " : "", array.dims.empty() ? "" : array.dims[d] + ": ", array.shape[d]);
  return text;
}

void print_group(const Group& group, const std::string& path) {
  fmt::print("{}\n", path.empty() ? "/" : path);
  for (const store::Attribute& a : group.attributes)
    fmt::print("  @{} = {}\n", a.name, json_text(attribute_json(a.value)));
  for (const Array& array : group.arrays) {
    std::string meaning;
    for (const store::Attribute& a : array.attributes)
      if (const auto* text = std::get_if<std::string>(&a.value); text && !text->empty())
        meaning += fmt::format("{}{}", a.name == "units" ? " [" + *text + "]" : "  " + *text, "");
    fmt::print("  {} {} ({}){}\n", type_name(array.data), array.name, extent_text(array), meaning);
  }
  for (const Group& child : group.groups) print_group(child, path + "/" + child.name);
}

Json group_json(const Group& group) {
  Json json;
  json["attributes"] = Json::object();
  for (const store::Attribute& a : group.attributes) json["attributes"][a.name] = attribute_json(a.value);
  json["arrays"] = Json::object();
  for (const Array& array : group.arrays) {
    Json entry = {{"dims", array.dims}, {"shape", array.shape}, {"type", type_name(array.data)}};
    for (const store::Attribute& a : array.attributes) entry[a.name] = attribute_json(a.value);
    entry["values"] = Json::array();  // flat, C order
    for (std::size_t i = 0; i < array.size(); ++i) entry["values"].push_back(value_json(array.data, i));
    json["arrays"][array.name] = std::move(entry);
  }
  json["groups"] = Json::object();
  for (const Group& child : group.groups) json["groups"][child.name] = group_json(child);
  return json;
}

/// One array as a table: a column per dim, then the value.
void print_csv(const Group& group, const Array& array) {
  std::string head;
  for (std::size_t d = 0; d < array.shape.size(); ++d)
    head += (array.dims.empty() ? fmt::format("dim{}", d) : array.dims[d]) + ",";
  fmt::print("{}{}\n", head, array.is_coordinate() ? "value" : array.name);
  std::vector<std::size_t> index(array.shape.size(), 0);
  for (std::size_t i = 0; i < array.size(); ++i) {
    std::string line;
    for (std::size_t d = 0; d < index.size(); ++d) {
      const Array* coordinate = array.dims.empty() ? nullptr : group.array(array.dims[d]);
      line += csv_field(coordinate ? value_text(coordinate->data, index[d]) : fmt::to_string(index[d])) + ",";
    }
    fmt::print("{}{}\n", line, csv_field(value_text(array.data, i)));
    for (std::size_t d = index.size(); d-- > 0 && ++index[d] == array.shape[d];) index[d] = 0;
  }
}

/// "report/ours" -> the group and the array; Error naming the arrays there are.
std::pair<const Group*, const Array*> find_array(const Group& root, const std::string& path) {
  const Group* group = &root;
  std::string rest = path;
  for (std::size_t slash; (slash = rest.find('/')) != std::string::npos; rest = rest.substr(slash + 1)) {
    std::vector<std::string> names;
    for (const Group& child : group->groups) names.push_back(child.name);
    const std::string name = rest.substr(0, slash);
    group = group->group(name);
    if (!group) throw_error(ExitCode::usage, "--array: no group '{}'{}", name, suggestion(name, names));
  }
  std::vector<std::string> names;
  for (const Array& array : group->arrays) names.push_back(array.name);
  const Array* array = group->array(rest);
  if (!array) throw_error(ExitCode::usage, "--array: no array '{}'{}", rest, suggestion(rest, names));
  return {group, array};
}

int inspect(const Words& words) {
  CommandLine line("lowbit inspect", "verifies a result file (every checksum) and shows what it holds");
  line.words("FILE.h5", "the file", 1, 1)
      .value("array", "NAME", "one array: 'qsnr', or 'report/ours' in a group; printed in full")
      .value("output", "FORM", "form of stdout: text, json, or csv with --array", "text");
  if (!line.parse(words)) return 0;
  const std::string output = line.choice("output", {"text", "json", "csv"});
  const std::string path = line.words().front();
  const Group tree = store::read_tree(path);
  if (line.given("array")) {
    const auto [group, array] = find_array(tree, line.text("array"));
    if (output == "json") {
      Group one;
      one.arrays.push_back(*array);
      fmt::print("{}\n", json_text(group_json(one)["arrays"], 2));
    } else {
      print_csv(*group, *array);
    }
    return 0;
  }
  if (output == "csv") throw_error(ExitCode::usage, "--output csv needs --array NAME");
  if (output == "json") {
    fmt::print("{}\n", json_text(group_json(tree), 2));
    return 0;
  }
  print_group(tree, "");
  const std::vector<Row> rows = result_rows(tree);
  if (!rows.empty()) fmt::print("\nreport\n{}", rows_table(rows));
  return 0;
}

LOWBIT_VERB(inspect, "verify a result file and show what it holds", inspect)

}  // namespace
}  // namespace lowbit
