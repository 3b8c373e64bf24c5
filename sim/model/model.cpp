#include "sim/model/model.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <span>

#include "formats/error.hpp"
#include "sim/huge_pages.hpp"
#include "sim/source/tensor_source.hpp"

namespace lowbit::model {
namespace {

constexpr std::size_t kOutside = 3;
constexpr std::size_t kPerLayer = 2 * kLinears + 4;
constexpr const char* kNormNames[] = {"input_layernorm", "post_attention_layernorm", "self_attn.q_norm",
                                      "self_attn.k_norm"};

bool has_bias(const Config& config, Linear linear) {
  if (linear <= Linear::v_proj) return config.qkv_bias;
  return linear == Linear::o_proj ? config.o_bias : config.mlp_bias;
}

Shape shape_of(const Parameter& parameter, bool vector) {
  return vector ? Shape{parameter.columns} : Shape{parameter.rows, parameter.columns};
}

bool is_vector(const Parameter& parameter) {
  return parameter.rows == 1 && parameter.linear < 0;
}

// Old checkpoints carry the frequencies of the rotary embedding; they follow from config.json.
bool ignored(const std::string& name) {
  return name.ends_with("rotary_emb.inv_freq");
}

void check_finite(std::span<const float> values, const std::string& place) {
  for (std::size_t i = 0; i < values.size(); ++i)
    if ((std::bit_cast<std::uint32_t>(values[i]) & 0x7F800000u) == 0x7F800000u)
      throw_error(ExitCode::bad_data, "{}: value {} is {}; weights must be finite", place, i, values[i]);
}

// Null where the values must be converted, or do not lie as floats do.
std::shared_ptr<const std::byte> in_place(const StoredTensor& tensor) {
  if (tensor.dtype != DType::f32 || tensor.fortran_order || !tensor.map || std::endian::native != std::endian::little)
    return nullptr;
  auto bytes = tensor.map();
  return reinterpret_cast<std::uintptr_t>(bytes.get()) % alignof(float) == 0 ? bytes : nullptr;
}

std::string cache_directory() {
  if (const char* moved = std::getenv("LOWBIT_MODELS"); moved != nullptr && *moved != '\0') return moved;
  const char* home = std::getenv("HOME");
  return std::string(home != nullptr ? home : ".") + "/.cache/lowbit/models";
}

}  // namespace

std::string find_model(const std::string& name) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (fs::is_regular_file(name + "/config.json", error)) return name;
  const std::string cached = cache_directory() + "/" + name;
  if (!name.empty() && name.find('/') == std::string::npos && fs::is_regular_file(cached + "/config.json", error))
    return cached;
  if (fs::exists(name, error))
    throw_error(ExitCode::no_input, "'{}': no config.json there; expected a Hugging Face model folder", name);
  throw_error(ExitCode::no_input,
              "model '{}': neither a folder nor in {}; scripts/get-model --list names what can be fetched", name,
              cache_directory());
}

Model::Model(Config config, std::string folder)
    : folder_(std::move(folder)), config_(std::move(config)), sites_(config_), rope_(config_) {
  list_parameters();
}

void Model::add(std::string name, std::size_t rows, std::size_t columns, int layer, int linear) {
  parameters_.push_back({std::move(name), rows, columns, layer, linear});
}

void Model::list_parameters() {
  const Config& c = config_;
  add("model.embed_tokens.weight", c.vocabulary, c.hidden, -1);
  add("model.norm.weight", 1, c.hidden, -1);
  add("lm_head.weight", c.vocabulary, c.hidden, -1, kLinears);
  for (int layer = 0; layer < static_cast<int>(c.layers); ++layer) {
    const std::string prefix = fmt::format("model.layers.{}.", layer);
    for (int i = 0; i < kLinears; ++i) {
      const auto linear = static_cast<Linear>(i);
      const std::size_t in = sites_[sites_.at(layer, linear, LinearPoint::input)].width;
      const std::size_t out = sites_[sites_.at(layer, linear, LinearPoint::output)].width;
      add(prefix + std::string(linear_name(linear)) + ".weight", out, in, layer, i);
      add(prefix + std::string(linear_name(linear)) + ".bias", has_bias(c, linear) ? 1 : 0, out, layer);
    }
    for (int i = 0; i < 4; ++i)
      add(prefix + kNormNames[i] + ".weight", i < 2 || c.qk_norm ? 1 : 0, i < 2 ? c.hidden : c.head_dim, layer);
  }
}

std::size_t Model::weight(int layer, Linear linear) const {
  return kOutside + static_cast<std::size_t>(layer) * kPerLayer + 2 * static_cast<std::size_t>(linear);
}
std::size_t Model::bias(int layer, Linear linear) const {
  return weight(layer, linear) + 1;
}
std::size_t Model::norm(int layer, NormParameter norm) const {
  return kOutside + static_cast<std::size_t>(layer) * kPerLayer + 2 * kLinears + static_cast<std::size_t>(norm);
}

AttentionShape Model::attention_shape(int layer) const {
  const float scale = static_cast<float>(1 / std::sqrt(static_cast<double>(config_.head_dim)));
  return {
      layer, config_.heads, config_.kv_heads, config_.head_dim, scale, config_.window[static_cast<std::size_t>(layer)]};
}

Model Model::load(const std::string& name, Threads& threads, Weights weights) {
  const std::string folder = find_model(name);
  Model model(read_config(folder), folder);
  std::map<std::string, StoredTensor> stored;
  for (StoredTensor& tensor : open_tensors(folder)) stored.emplace(tensor.name, std::move(tensor));
  std::vector<const StoredTensor*> source(model.parameters_.size());
  const bool tied = model.config_.tied_embeddings;
  for (std::size_t i = 0; i < source.size(); ++i) {
    const Parameter& parameter = model.parameters_[i];
    if (!model.has_parameter(i) || (tied && i == model.lm_head())) continue;
    const auto found = stored.find(parameter.name);
    if (found == stored.end()) throw_error(ExitCode::bad_data, "'{}': tensor {} is missing", folder, parameter.name);
    const Shape expected = shape_of(parameter, is_vector(parameter));
    if (found->second.shape != expected)
      throw_error(ExitCode::bad_data, "{}: shape {}, but config.json asks for {}", found->second.place(),
                  to_string(found->second.shape), to_string(expected));
    source[i] = &found->second;
  }
  for (const auto& [tensor_name, tensor] : stored) {
    bool known = ignored(tensor_name) || (tied && tensor_name == "lm_head.weight");
    for (const StoredTensor* used : source) known = known || used == &tensor;
    if (!known)
      throw_error(ExitCode::bad_data, "{}: a tensor that a {} model of this config.json does not have", tensor.place(),
                  model.config_.family);
  }
  model.data_.resize(source.size(), nullptr);
  model.mapped_.resize(source.size());
  std::vector<std::size_t> copied, mapped;
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == nullptr) continue;
    if (weights == Weights::mapped) model.mapped_[i] = in_place(*source[i]);
    (model.mapped_[i] ? mapped : copied).push_back(i);
  }
  model.copy(copied, threads, [&](std::size_t i, float* values) {
    source[i]->load_float(values);
    check_finite({values, source[i]->size()}, source[i]->place());
  });
  threads.parallel_for(mapped.size(), [&](std::size_t task) {
    const std::size_t i = mapped[task];
    model.data_[i] = reinterpret_cast<const float*>(model.mapped_[i].get());
    check_finite({model.data_[i], source[i]->size()}, source[i]->place());
  });
  if (tied) model.data_[model.lm_head()] = model.data_[model.embedding()];
  return model;
}

// In one buffer, so that small ones lie on huge pages too; each begins a cache line.
void Model::copy(const std::vector<std::size_t>& wanted, Threads& threads, const Fill& fill) {
  constexpr std::size_t kLine = static_cast<std::size_t>(UnsetAllocator<float>::kAlignment) / sizeof(float);
  std::vector<std::size_t> begin;
  std::size_t end = 0;
  for (const std::size_t i : wanted) {
    begin.push_back(end);
    end += (parameters_[i].rows * parameters_[i].columns + kLine - 1) / kLine * kLine;
  }
  Buffer& values = values_.emplace_back(end);
  ask_for_huge_pages(values.data(), end * sizeof(float));  // a token reads all weights
  threads.parallel_for(wanted.size(), [&](std::size_t task) {
    float* own = values.data() + begin[task];
    fill(wanted[task], own);
    data_[wanted[task]] = own;
  });
}

void Model::copy_weights(Threads& threads, const std::function<bool(std::size_t)>& wanted) {
  std::vector<std::size_t> mapped;
  for (std::size_t i = 0; i < mapped_.size(); ++i)
    if (mapped_[i] && data_[i] == reinterpret_cast<const float*>(mapped_[i].get()) && (!wanted || wanted(i)))
      mapped.push_back(i);
  if (mapped.empty()) return;
  copy(mapped, threads, [&](std::size_t i, float* values) {
    std::copy_n(data_[i], parameters_[i].rows * parameters_[i].columns, values);
  });
  if (config_.tied_embeddings) data_[lm_head()] = data_[embedding()];
}

}  // namespace lowbit::model
