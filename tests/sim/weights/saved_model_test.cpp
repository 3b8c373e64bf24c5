// A quantised model as a folder: evaluated as in memory, its codes bit for bit, damage refused.
#include "sim/weights/saved_model.hpp"

#include <bit>
#include <filesystem>
#include <map>

#include "tests/sim/weights/support.hpp"
#include "tests/support/errors.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace lowbit;
using namespace lowbit::weights;
using namespace lowbit::test_weights;
using lowbit::test::refusal_of;

namespace {

/// A quantised model in memory, its report, codes and folder.
struct Saving {
  model::Hooks memory{tiny()};
  ModelReport report;
  CodesWriter codes;
  std::map<std::string, std::vector<float>> effective;
  lowbit::test::TemporaryFolder folder;

  Saving(const std::string& method_name, const std::string& format, const std::string& transform,
         const std::vector<std::int32_t>& text, bool keep_codes = true) {
    const auto method = parse_method(method_name);
    ModelJob job = job_of(*method, format, true, text);
    job.target.transform = transform;
    job.target.static_scales = true;
    job.target.keep_codes = keep_codes;
    job.solved = [&](const InputGroup& group, const Solution& solution) {
      for (std::size_t i = 0; i < group.linears.size(); ++i) {
        const std::string& name = group.linears[i].name;
        effective[name] = lowbit::test::values(solution.linears[i].effective.view());
        CHECK(solution.linears[i].representation.codes.has_value() == keep_codes);
        if (keep_codes) codes.add(name, *solution.linears[i].representation.codes);
      }
    };
    report = quantise_model(memory, job, test_threads());
    std::filesystem::create_directory(folder / "codes");
    save_model(memory, report, {method->name(), format, format, transform, text}, codes,
               [&](const std::string& file, std::span<const std::byte> bytes) {
                 folder.file(file, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
               });
  }
};

std::vector<std::uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<std::uint32_t> bits;
  for (const float v : values) bits.push_back(std::bit_cast<std::uint32_t>(v));
  return bits;
}

}  // namespace

TEST_CASE("saved_model: a saved model evaluates as the one in memory", "[weights]") {
  const auto once = tokens();
  auto text = once;  // twice: a calibration must not be shorter than a group
  text.insert(text.end(), once.begin(), once.end());
  for (const char* name : {"gptq", "mr_gptq", "smoothquant", "rtn"})
    for (const char* transform : {"id", "had:8", "orth:16:seed=2"}) {
      const Saving saved(name, "nvfp4:g8", transform, text);
      INFO(name << " " << transform);
      CHECK(is_saved(saved.folder.path()));
      CHECK_FALSE(is_saved(lowbit::test::family_folder("llama3")));
      const model::Model m = model::Model::load(saved.folder.path(), test_threads());
      model::Hooks hooks(m);
      const SavedSummary summary = attach_saved(hooks, saved.folder.path());
      CHECK(summary.bits_weight == saved.report.bits_weight);
      CHECK(summary.calibration_begins ==
            std::vector<std::int32_t>(text.begin(), text.begin() + std::min<std::ptrdiff_t>(32, std::ssize(text))));
      CHECK(logits(hooks, once) == logits(saved.memory, once));  // the codes are the weights
    }
  // without codes the weights come back through the transform: exact where there is none
  for (const char* transform : {"id", "had:8"}) {
    const Saving saved("gptq", "nvfp4:g8", transform, text, false);
    CHECK_FALSE(std::filesystem::exists(saved.folder / "codes/weights.safetensors"));
    const model::Model m = model::Model::load(saved.folder.path(), test_threads());
    model::Hooks hooks(m);
    attach_saved(hooks, saved.folder.path());
    const auto expected = logits(saved.memory, once), ours = logits(hooks, once);
    if (std::string(transform) == "id") CHECK(ours == expected);
    // a weight that moved in its last bit may tip a rounding of activations
    CHECK(lowbit::test::norm_error(ours, expected) < 0.02);
  }
}

TEST_CASE("saved_model: the packed codes decode to the effective weights bit for bit", "[weights]") {
  const auto once = tokens();
  auto text = once;
  text.insert(text.end(), once.begin(), once.end());
  for (const char* format :
       {"nvfp4:g8", "nvfp4:g8:like=fp_quant", "mxfp4:g8:like=fp_quant", "mxfp4:g8", "int4:g8:s=fp16", "int3:g8:asym",
        "nvint4:g8", "mxfp6_e2m3:g8", "int8:g8:s=fp32", "mxfp4_dagger"})
    for (const char* name : {"rtn", "gptq"}) {
      INFO(format << " " << name);
      const Saving saved(name, format, "id", text);
      const CodesReader reader(saved.folder / "codes/weights.safetensors");
      for (const LinearReport& linear : saved.report.linears) {
        const model::Parameter* p = nullptr;
        for (const model::Parameter& q : tiny().parameters())
          if (q.name == linear.name + ".weight") p = &q;
        REQUIRE(p != nullptr);
        const Quantized q = reader.read(linear.name, saved.codes.format_of(linear.name), p->rows, p->columns);
        std::vector<float> decoded(p->rows * p->columns);
        decode(q, decoded.data());
        CHECK(bits_of(decoded) == bits_of(saved.effective.at(linear.name)));
      }
    }
}

TEST_CASE("saved_model: codes that are not those of the weights are refused", "[weights]") {
  const auto text = tokens();
  const Saving saved("gptq", "nvfp4:g8", "had:8", text);
  const model::Model m = model::Model::load(saved.folder.path(), test_threads());
  const std::string path = saved.folder / "codes/weights.safetensors";
  const auto refused = [&] {
    model::Hooks hooks(m);
    return refusal_of([&] { attach_saved(hooks, saved.folder.path()); });
  };
  std::string bytes = saved.codes.file();
  const auto length =
      static_cast<std::size_t>(static_cast<unsigned char>(bytes[0]) | static_cast<unsigned char>(bytes[1]) << 8 |
                               static_cast<unsigned char>(bytes[2]) << 16);
  bytes[8 + length + 5] = static_cast<char>(bytes[8 + length + 5] ^ 0x77);
  saved.folder.file("codes/weights.safetensors", bytes);
  CHECK(refused().names("where model.safetensors has"));
  saved.folder.file("codes/weights.safetensors", bytes.substr(0, bytes.size() - 1));
  CHECK(refused().names("weights.safetensors"));
  std::filesystem::remove(path);
  CHECK(refused().names("weights.safetensors"));
  saved.folder.file("codes/weights.safetensors", safetensors_file({}, ""));
  CHECK(refused().names("q_proj.weight_codes is missing"));
}
