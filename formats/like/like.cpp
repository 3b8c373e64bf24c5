#include "formats/like/like.hpp"

#include <string>
#include <vector>

#include "formats/error.hpp"

namespace lowbit::like {

// One line here and one in the table for each implementation; the definition lies in the file of its name.
extern const Implementation kBitsandbytes;
extern const Implementation kCompressedTensors;
extern const Implementation kFpQuant;
extern const Implementation kFpQuantSte;
extern const Implementation kGfloat;
extern const Implementation kGgml;
extern const Implementation kGgmlAvx;
extern const Implementation kIntVsFp;
extern const Implementation kMicroxcaling;
extern const Implementation kMicroxcalingCpp;
extern const Implementation kModeloptCuda;
extern const Implementation kModeloptExport;
extern const Implementation kModeloptMxfp4;
extern const Implementation kModeloptTriton;
extern const Implementation kTorchao;
extern const Implementation kTorchao018;
extern const Implementation kTransformerEngine;

namespace {

const std::vector<const Implementation*>& table() {
  static const std::vector<const Implementation*> all = {
      &kBitsandbytes,
      &kCompressedTensors,
      &kFpQuant,
      &kFpQuantSte,
      &kGfloat,
      &kGgml,
      &kGgmlAvx,
      &kIntVsFp,
      &kMicroxcaling,
      &kMicroxcalingCpp,
      &kModeloptCuda,
      &kModeloptExport,
      &kModeloptMxfp4,
      &kModeloptTriton,
      &kTorchao,
      &kTorchao018,
      &kTransformerEngine,
  };
  return all;
}

}  // namespace

std::span<const Implementation* const> implementations() {
  return table();
}

const Implementation& implementation(std::string_view name) {
  std::vector<std::string> names;
  for (const Implementation* known : table()) {
    if (known->name == name) return *known;
    names.emplace_back(known->name);
  }
  const auto near = did_you_mean(name, names);
  throw_error(ExitCode::usage, "like={}: no such implementation{}; accepted: {}", name,
              near ? fmt::format(" (did you mean '{}'?)", *near) : "", fmt::join(names, ", "));
}

}  // namespace lowbit::like
