// What every reader checks first. results/schema.md describes the file type.
#pragma once
#include <cstdint>
#include <string_view>

namespace lowbit::store {

inline constexpr std::string_view kResultFileType = "lowbit.result";
/// Readers refuse another major version; a minor version adds what old readers may ignore.
inline constexpr std::int64_t kSchemaMajor = 1;
inline constexpr std::int64_t kSchemaMinor = 0;

}  // namespace lowbit::store
