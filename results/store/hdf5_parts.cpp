#include "results/store/hdf5_parts.hpp"

#include <algorithm>
#include <type_traits>

namespace lowbit::store {

namespace {
constexpr std::size_t kChunkBytes = std::size_t{1} << 20;
}  // namespace

Handle text_type(std::size_t length) {
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose, "text type");
  check(H5Tset_size(type, std::max<std::size_t>(length, 1)), "text size");
  check(H5Tset_cset(type, H5T_CSET_UTF8), "text character set");
  check(H5Tset_strpad(type, H5T_STR_NULLPAD), "text padding");
  return type;
}

Handle dataspace(const std::vector<std::size_t>& shape) {
  std::vector<hsize_t> extents(shape.begin(), shape.end());
  if (extents.empty()) return {H5Screate(H5S_SCALAR), H5Sclose, "dataspace"};
  return {H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr), H5Sclose, "dataspace"};
}

void put_attribute(hid_t object, const std::string& name, hid_t type, const std::vector<std::size_t>& shape,
                   const void* data) {
  const Handle space = dataspace(shape);
  Handle attribute(H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose, "attribute");
  check(H5Awrite(attribute, type, data), "attribute");
  attribute.close();
}

void write_attribute(hid_t object, const Attribute& attribute) {
  std::visit(
      [&](const auto& value) {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, std::string>) {
          put_attribute(object, attribute.name, text_type(value.size()), {}, value.c_str());
        } else if constexpr (std::is_arithmetic_v<T>) {
          put_attribute(object, attribute.name, number_type<T>(), {}, &value);
        } else {
          if (value.empty()) throw std::logic_error(fmt::format("attribute '{}' is an empty list", attribute.name));
          put_attribute(object, attribute.name, number_type<typename T::value_type>(), {value.size()}, value.data());
        }
      },
      attribute.value);
}

std::vector<hsize_t> chunk_shape(const std::vector<std::size_t>& shape, std::size_t value_bytes) {
  std::vector<hsize_t> chunk(shape.begin(), shape.end());
  std::size_t bytes = value_bytes;
  for (hsize_t extent : chunk) bytes *= extent;
  for (hsize_t& extent : chunk) {
    if (bytes <= kChunkBytes) break;
    const std::size_t row = bytes / extent;
    extent = std::max<std::size_t>(1, kChunkBytes / row);
    bytes = row * extent;
  }
  return chunk;
}

void mark_scale(hid_t set, const std::string& scale_name, const std::vector<std::int32_t>& ids) {
  check(H5DSset_scale(set, scale_name.c_str()), "dimension scale");
  put_attribute(set, "_Netcdf4Dimid", H5T_STD_I32LE, {}, ids.data());
  if (ids.size() > 1) put_attribute(set, "_Netcdf4Coordinates", H5T_STD_I32LE, {ids.size()}, ids.data());
}

}  // namespace lowbit::store
