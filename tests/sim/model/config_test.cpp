// config.json: what is read, and what is refused by name.
#include "sim/model/config.hpp"

#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "formats/error.hpp"
#include "tests/sim/model/support.hpp"

namespace lowbit::test {
namespace {

using namespace lowbit::model;
using nlohmann::json;

json basis() {
  return {{"model_type", "llama"},  {"hidden_size", 64},          {"intermediate_size", 96},
          {"num_hidden_layers", 3}, {"num_attention_heads", 4},   {"num_key_value_heads", 2},
          {"vocab_size", 100},      {"rms_norm_eps", 1e-5},       {"max_position_embeddings", 128},
          {"rope_theta", 1e5},      {"tie_word_embeddings", true}};
}
Config parse(const json& object) {
  return parse_config(object.dump(), "config.json");
}
json changed(const std::string& key, json value) {
  json object = basis();
  object[key] = std::move(value);
  return object;
}

TEST_CASE("config.json is read with the defaults of transformers", "[model]") {
  const Config c = parse(basis());
  CHECK(c.head_dim == 16);
  CHECK(c.rope_theta == 1e5);
  CHECK(c.tied_embeddings);
  CHECK(c.window == std::vector<std::int64_t>{0, 0, 0});
  json object = basis();
  object.erase("num_key_value_heads");
  CHECK(parse(object).kv_heads == 4);
  CHECK(parse(changed("model_type", "qwen2")).qkv_bias);
  CHECK_FALSE(parse(changed("model_type", "qwen2")).o_bias);
  CHECK(parse(changed("model_type", "qwen3")).qk_norm);
}

TEST_CASE("sliding windows are those of the family", "[model]") {
  json mistral = changed("model_type", "mistral");
  mistral["sliding_window"] = 7;
  CHECK(parse(mistral).window == std::vector<std::int64_t>{7, 7, 7});
  mistral["sliding_window"] = nullptr;
  CHECK(parse(mistral).window == std::vector<std::int64_t>{0, 0, 0});
  json qwen = changed("model_type", "qwen2");
  qwen["sliding_window"] = 9;
  CHECK(parse(qwen).window == std::vector<std::int64_t>{0, 0, 0});
  qwen["use_sliding_window"] = true;
  qwen["max_window_layers"] = 2;
  CHECK(parse(qwen).window == std::vector<std::int64_t>{0, 0, 9});
  qwen["layer_types"] = {"sliding_attention", "full_attention", "full_attention"};
  CHECK(parse(qwen).window == std::vector<std::int64_t>{9, 0, 0});
}

TEST_CASE("what is not supported is named with key and value", "[model]") {
  const auto refused = [](const json& object, const std::string& key, const std::string& value) {
    CHECK_THROWS_WITH(parse(object), contains("\"" + key + "\" is " + value));
  };
  refused(changed("model_type", "gpt2"), "model_type", "\"gpt2\"");
  refused(changed("hidden_act", "gelu"), "hidden_act", "\"gelu\"");
  refused(changed("num_key_value_heads", 3), "num_key_value_heads", "3");
  refused(changed("hidden_size", 66), "num_attention_heads", "4");
  refused(changed("hidden_size", -64), "hidden_size", "-64");
  refused(changed("vocab_size", "many"), "vocab_size", "\"many\"");
  refused(changed("rms_norm_eps", 0), "rms_norm_eps", "0");
  refused(changed("tie_word_embeddings", 1), "tie_word_embeddings", "1");
  refused(changed("rope_scaling", {{"type", "yarn"}, {"factor", 4}}), "type", "\"yarn\"");
  refused(changed("rope_scaling", {{"rope_type", "llama3"}}), "factor", "missing");
  refused(changed("quantization_config", {{"bits", 4}}), "quantization_config", "{\"bits\":4}");
  refused(changed("partial_rotary_factor", 0.5), "partial_rotary_factor", "0.5");
  refused(changed("layer_types", {"full_attention"}), "layer_types", "[\"full_attention\"]");
  json missing = basis();
  missing.erase("hidden_size");
  refused(missing, "hidden_size", "missing");
  CHECK_THROWS_WITH(parse_config("{\"model_type\": ", "config.json"), contains("config.json: not JSON"));
  CHECK_THROWS_WITH(parse_config("[]", "config.json"), contains("expected a JSON object"));
}

// A copy of a tiny model's folder that can be damaged.
struct Folder {
  std::filesystem::path path;
  explicit Folder(const std::string& name)
      : path(std::filesystem::temp_directory_path() / fmt::format("lowbit-model-{}-{}", name, getpid())) {
    std::filesystem::create_directories(path);
    std::filesystem::copy(family_folder("llama3"), path, std::filesystem::copy_options::recursive);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  void write_config(const std::string& key, const json& value) const {
    std::ifstream in(path / "config.json");
    json object = json::parse(in);
    object[key] = value;
    std::ofstream(path / "config.json") << object;
  }
};

TEST_CASE("folders that contradict themselves are refused", "[model]") {
  const auto load = [](const std::filesystem::path& path) { return Model::load(path.string(), test_threads()); };
  CHECK_THROWS_WITH(load("/nonexistent-model"), contains("neither a folder nor in") && contains("get-model"));
  CHECK_THROWS_WITH(load(std::filesystem::temp_directory_path()), contains("no config.json"));
  {
    const Folder folder("shape");
    folder.write_config("intermediate_size", 88);
    CHECK_THROWS_WITH(load(folder.path), contains("(80, 64)") && contains("(88, 64)"));
  }
  {
    const Folder folder("missing");
    folder.write_config("num_hidden_layers", 3);
    CHECK_THROWS_WITH(load(folder.path), contains("model.layers.2.") && contains("is missing"));
  }
  {
    const Folder folder("unknown");
    folder.write_config("num_hidden_layers", 1);
    CHECK_THROWS_WITH(load(folder.path), contains("model.layers.1.") && contains("does not have"));
  }
  {
    const Folder folder("truncated");
    std::filesystem::resize_file(folder.path / "model.safetensors", 20000);
    CHECK_THROWS_AS(load(folder.path), Error);
  }
  {
    const Folder folder("nan");
    std::fstream file(folder.path / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-2, std::ios::end);
    file.write("\xC0\x7F", 2);  // a bfloat16 NaN
    file.close();
    CHECK_THROWS_WITH(load(folder.path), contains("is nan") && contains("must be finite"));
  }
}

}  // namespace
}  // namespace lowbit::test
