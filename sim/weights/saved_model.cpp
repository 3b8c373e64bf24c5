#include "sim/weights/saved_model.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "formats/error.hpp"
#include "formats/random.hpp"
#include "sim/model/model.hpp"
#include "sim/source/input_file.hpp"

namespace lowbit::weights {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr std::uint64_t kLongestText = std::uint64_t{1} << 30;
constexpr std::size_t kKeptTokens = 32;
constexpr const char* kCodesFile = "codes/weights.safetensors";
constexpr const char* kCopied[] = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json",
                                   "merges.txt",     "generation_config.json"};

void write_text(const WriteFile& write, const std::string& name, const std::string& text) {
  write(name, std::as_bytes(std::span(text)));
}

/// W with (x / d T) W_effective^T = x W^T: the transform undone, then the divisor.
void to_original_basis(const InputMap& map, Rows w) {
  const Layout layout = Layout::matrix(w.rows, w.columns);
  apply_inverse(*map.transform, layout, w.data, w.data);
  for (std::size_t i = 0; !map.channel_divisor.empty() && i < w.rows; ++i)
    for (std::size_t c = 0; c < w.columns; ++c) w.row(i)[c] /= map.channel_divisor[c];
}
void to_product_basis(const InputMap& map, Rows w) {
  for (std::size_t i = 0; !map.channel_divisor.empty() && i < w.rows; ++i)
    for (std::size_t c = 0; c < w.columns; ++c) w.row(i)[c] *= map.channel_divisor[c];
  const Layout layout = Layout::matrix(w.rows, w.columns);
  apply(*map.transform, layout, w.data, w.data);
}

const InputMap* map_of(const ModelReport& report, const std::string& linear) {
  for (const GroupInput& input : report.inputs)
    if (std::find(input.linears.begin(), input.linears.end(), linear) != input.linears.end()) return &input.map;
  return nullptr;
}

/// The whole .safetensors file in memory: length of the header, header, values.
std::vector<std::byte> safetensors_of(const model::Hooks& hooks, const ModelReport& report) {
  const model::Model& m = hooks.model();
  ordered_json header = {{"__metadata__", {{"format", "pt"}}}};
  std::size_t offset = 0;
  std::vector<std::size_t> stored;
  const auto& parameters = m.parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const model::Parameter& p = parameters[i];
    const bool tied = i == m.lm_head() && m.config().tied_embeddings;
    if (!m.has_parameter(i) || tied) continue;
    const std::size_t bytes = p.rows * p.columns * sizeof(float);
    const bool vector = p.rows == 1 && (p.name.ends_with("norm.weight") || p.name.ends_with(".bias"));
    const ordered_json shape = vector ? ordered_json{p.columns} : ordered_json{p.rows, p.columns};
    header[p.name] = {{"dtype", "F32"}, {"shape", shape}, {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
    stored.push_back(i);
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::vector<std::byte> file(8 + text.size() + offset);
  for (int i = 0; i < 8; ++i) file[static_cast<std::size_t>(i)] = static_cast<std::byte>(text.size() >> (8 * i) & 0xFF);
  std::copy_n(reinterpret_cast<const std::byte*>(text.data()), text.size(), file.data() + 8);
  std::byte* place = file.data() + 8 + text.size();
  for (const std::size_t i : stored) {
    const model::Parameter& p = parameters[i];
    Matrix values(p.rows, p.columns);
    std::copy_n(hooks.data(i), p.rows * p.columns, values.data());
    if (p.linear >= 0)
      if (const InputMap* map = map_of(report, p.name.substr(0, p.name.size() - 7))) to_original_basis(*map, values);
    const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
    place = std::copy_n(bytes, p.rows * p.columns * sizeof(float), place);
  }
  return file;
}

ordered_json input_json(const GroupInput& input) {
  ordered_json out = {{"linears", input.linears}, {"transform", input.map.transform->name()}};
  out["format"] = input.map.format ? ordered_json(input.map.format->name()) : ordered_json(nullptr);
  if (input.map.fixed_maximum) out["static_maximum"] = *input.map.fixed_maximum;
  if (input.map.levels) out["levels"] = {{"alpha", input.map.levels->alpha}, {"beta", input.map.levels->beta}};
  if (!input.map.channel_divisor.empty()) out["channel_divisor"] = input.map.channel_divisor;
  return out;
}

GroupInput input_of(const ordered_json& json) {
  GroupInput input;
  input.linears = json.at("linears").get<std::vector<std::string>>();
  if (input.linears.empty()) throw std::invalid_argument("a group without linears");
  input.map.transform = parse_transform(json.at("transform").get<std::string>(), stream_of(input.linears.front()));
  if (!json.at("format").is_null()) input.map.format = OperandFormat::parse(json.at("format").get<std::string>());
  if (json.contains("static_maximum")) input.map.fixed_maximum = json.at("static_maximum").get<float>();
  if (json.contains("levels"))
    input.map.levels =
        LogLevels{json.at("levels").at("alpha").get<double>(), json.at("levels").at("beta").get<double>()};
  if (json.contains("channel_divisor"))
    input.map.channel_divisor = json.at("channel_divisor").get<std::vector<float>>();
  return input;
}

}  // namespace

void save_model(const model::Hooks& hooks, const ModelReport& report, const SavedFacts& facts, const CodesWriter& codes,
                const WriteFile& write) {
  const std::string& folder = hooks.model().folder();
  auto config = ordered_json::parse(read_text(folder + "/config.json", kLongestText));
  config["torch_dtype"] = "float32";
  if (config.contains("dtype")) config["dtype"] = "float32";
  write_text(write, "config.json", config.dump(2) + "\n");
  for (const char* name : kCopied)
    if (fs::is_regular_file(folder + "/" + name)) write_text(write, name, read_text(folder + "/" + name, kLongestText));
  write("model.safetensors", safetensors_of(hooks, report));
  if (!codes.empty()) write_text(write, kCodesFile, codes.file());
  ordered_json json = {{"filetype", "lowbit.quantised_model"},
                       {"version", 1},
                       {"method", facts.method},
                       {"weight_format", facts.weight_format}};
  json["activation_format"] =
      facts.activation_format.empty() ? ordered_json(nullptr) : ordered_json(facts.activation_format);
  json["transform"] = facts.transform;
  json["bits_weight"] = report.bits_weight;
  json["bits_activation"] = report.bits_activation;
  json["calibration_begins"] = std::vector<std::int32_t>(
      facts.calibration.begin(),
      facts.calibration.begin() + static_cast<std::ptrdiff_t>(std::min(kKeptTokens, facts.calibration.size())));
  if (!codes.empty()) json["codes"] = {{"file", kCodesFile}, {"layout", "dense"}};
  json["inputs"] = ordered_json::array();
  for (const GroupInput& input : report.inputs) json["inputs"].push_back(input_json(input));
  json["linears"] = ordered_json::object();
  for (const LinearReport& linear : report.linears) {
    ordered_json entry = {{"bits", linear.bits},
                          {"rounding_error", linear.report.rounding_error},
                          {"error", linear.report.error},
                          {"dead_columns", linear.report.dead_columns},
                          {"fell_back", linear.report.fell_back}};
    if (const std::string format = codes.format_of(linear.name); !format.empty()) entry["codes"] = format;
    json["linears"][linear.name] = std::move(entry);
  }
  write_text(write, "lowbit.json", json.dump(2) + "\n");
}

bool is_saved(const std::string& folder) {
  std::error_code error;
  return fs::is_regular_file(folder + "/lowbit.json", error);
}

namespace {

/// What lowbit.json says.
struct Saved {
  std::vector<GroupInput> inputs;
  std::map<std::string, std::string> code_formats;  ///< by linear
  std::string codes_file;                           ///< empty: none
  SavedSummary summary;
};

Saved read_saved(const std::string& folder) {
  const std::string path = folder + "/lowbit.json";
  Saved saved;
  try {
    const auto json = ordered_json::parse(read_text(path, kLongestText));
    if (json.at("filetype") != "lowbit.quantised_model" || json.at("version") != 1)
      throw std::invalid_argument("filetype lowbit.quantised_model, version 1 is accepted");
    for (const auto& input : json.at("inputs")) saved.inputs.push_back(input_of(input));
    saved.summary.calibration_begins = json.at("calibration_begins").get<std::vector<std::int32_t>>();
    saved.summary.bits_weight = json.at("bits_weight").get<double>();
    saved.summary.bits_activation = json.at("bits_activation").get<double>();
    if (json.contains("codes")) {
      if (json.at("codes").at("file") != kCodesFile || json.at("codes").at("layout") != "dense")
        throw std::invalid_argument(fmt::format("codes: file {}, layout dense is accepted", kCodesFile));
      saved.codes_file = folder + "/" + kCodesFile;
      for (const auto& [name, linear] : json.at("linears").items())
        if (linear.contains("codes")) saved.code_formats[name] = linear.at("codes").get<std::string>();
    }
  } catch (const Error& error) {
    throw_error(ExitCode::bad_data, "'{}': {}", path, error.what());
  } catch (const std::exception& error) {
    throw_error(ExitCode::bad_data, "'{}' is no description of a quantised model: {}", path, error.what());
  }
  return saved;
}

/// Puts decoded codes in the place of w, which holds the stored weight in the basis of the product. The two differ by
/// the rounding of the transform and back.
void take_codes(const Quantized& codes, const std::string& path, const std::string& linear, Rows w) {
  std::vector<float> decoded(w.rows * w.columns);
  decode(codes, decoded.data());
  const float tolerance = 1e-4f * finite_amax(decoded.data(), decoded.size());
  for (std::size_t i = 0; i < decoded.size(); ++i)
    if (!(std::abs(decoded[i] - w.data[i]) <= tolerance))
      throw_error(ExitCode::bad_data,
                  "'{}': the codes of {} decode to {} at value {}, where model.safetensors has {} in the same basis",
                  path, linear, decoded[i], i, w.data[i]);
  std::copy(decoded.begin(), decoded.end(), w.data);
}

}  // namespace

SavedSummary attach_saved(model::Hooks& hooks, const std::string& folder) {
  const std::string path = folder + "/lowbit.json";
  const Saved saved = read_saved(folder);
  std::optional<CodesReader> reader;
  if (!saved.codes_file.empty()) reader.emplace(saved.codes_file);
  for (const GroupInput& input : saved.inputs) {
    for (const std::string& linear : input.linears)
      hooks.weight(linear, [&](const model::Parameter& p, Rows w) {
        check_fits(*input.map.transform, Layout::matrix(w.rows, w.columns), linear);
        if (!input.map.channel_divisor.empty() && input.map.channel_divisor.size() != p.columns)
          throw_error(ExitCode::bad_data, "'{}': {} channel divisors for the {} inputs of {}", path,
                      input.map.channel_divisor.size(), p.columns, linear);
        to_product_basis(input.map, w);
        if (const auto format = saved.code_formats.find(linear); reader && format != saved.code_formats.end())
          take_codes(reader->read(linear, format->second, w.rows, w.columns), saved.codes_file, linear, w);
      });
    attach_input(hooks, input.linears, input.map);
  }
  return saved.summary;
}

}  // namespace lowbit::weights
