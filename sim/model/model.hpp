// A Llama-style language model: configuration, parameters in float32, names of its tensors.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sim/model/attention.hpp"
#include "sim/model/config.hpp"
#include "sim/model/rope.hpp"
#include "sim/model/sites.hpp"
#include "sim/model/tensor.hpp"
#include "sim/threads.hpp"

namespace lowbit::model {

/// One parameter under its Hugging Face name; vectors have one row.
struct Parameter {
  std::string name;  ///< "model.layers.0.self_attn.q_proj.weight"
  std::size_t rows = 0, columns = 0;
  int layer = -1;
  int linear = -1;  ///< of the weight of a linear layer: as Linear, kLinears for lm_head; -1 for everything else
};

/// Where the parameters of a loaded model lie. copied: in memory of the process, on huge pages. mapped: float32 of
/// safetensors stays in the file, so that a first token need not wait until the system has found memory for a copy. A
/// token then takes up to a tenth longer, what another program writes into the file shows, and a file that is cut off
/// ends the process with SIGBUS.
enum class Weights { copied, mapped };

/// Parameters of a layer beside weights and biases of its linear layers.
enum class NormParameter { input, post_attention, q, k };

class Model {
 public:
  /// Loads a folder with config.json and safetensors (F64, F32, F16, BF16; sharded or not); `name` is a path or a name
  /// in the cache directory ($LOWBIT_MODELS, else ~/.cache/lowbit/models). Error: what config.hpp refuses, missing,
  /// unknown or misshapen tensors (both shapes named), NaN or Inf in a parameter.
  static Model load(const std::string& name, Threads& threads, Weights weights = Weights::copied);
  /// Copies the mapped parameters that are wanted (none given: all), so that data() returns the copies. Not while a
  /// pass runs; what data() has returned before stays valid. std::bad_alloc leaves everything as it was.
  void copy_weights(Threads& threads, const std::function<bool(std::size_t parameter)>& wanted = {});

  const std::string& folder() const { return folder_; }
  const Config& config() const { return config_; }
  const SiteTable& sites() const { return sites_; }
  const Rope& rope() const { return rope_; }
  AttentionShape attention_shape(int layer) const;

  /// A parameter is known by its index; has_parameter tells optional ones (biases, q and k norms).
  const std::vector<Parameter>& parameters() const { return parameters_; }
  const float* data(std::size_t parameter) const { return data_[parameter]; }
  std::size_t weight(int layer, Linear linear) const;
  std::size_t bias(int layer, Linear linear) const;
  std::size_t norm(int layer, NormParameter norm) const;
  std::size_t embedding() const { return 0; }
  std::size_t final_norm() const { return 1; }
  std::size_t lm_head() const { return 2; }
  bool has_parameter(std::size_t parameter) const { return parameters_[parameter].rows > 0; }

  Model(Model&&) = default;

 private:
  Model(Config config, std::string folder);
  void list_parameters();
  using Fill = std::function<void(std::size_t parameter, float* values)>;
  void copy(const std::vector<std::size_t>& wanted, Threads& threads, const Fill& fill);
  void add(std::string name, std::size_t rows, std::size_t columns, int layer, int linear = -1);

  std::string folder_;
  Config config_;
  SiteTable sites_;
  Rope rope_;
  std::vector<Parameter> parameters_;
  std::vector<Buffer> values_;                            // of the copied ones
  std::vector<std::shared_ptr<const std::byte>> mapped_;  // by parameter
  std::vector<const float*> data_;
};

/// The folder of a model: `name` itself where it is a folder, else the one of that name in the cache directory. Error
/// that says how to get it.
std::string find_model(const std::string& name);

}  // namespace lowbit::model
