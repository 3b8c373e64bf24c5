#include "results/store/hdf5_attributes.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "formats/error.hpp"
#include "results/store/hdf5_handle.hpp"

namespace lowbit::store {
namespace {

std::string read_text(hid_t attribute, hid_t type) {
  if (check(H5Tis_variable_str(type), "text") > 0) {
    char* text = nullptr;
    const Handle memory(H5Tcopy(H5T_C_S1), H5Tclose, "text type");
    check(H5Tset_size(memory, H5T_VARIABLE), "text type");
    check(H5Tset_cset(memory, H5Tget_cset(type)), "text type");
    check(H5Aread(attribute, memory, &text), "text");
    const std::string result = text == nullptr ? "" : text;
    H5free_memory(text);
    return result;
  }
  std::string packed(H5Tget_size(type), '\0');
  check(H5Aread(attribute, type, packed.data()), "text");
  return {packed.begin(), std::find(packed.begin(), packed.end(), '\0')};
}

template <class T>
AttributeValue read_numbers(hid_t attribute, std::size_t n, bool scalar) {
  std::vector<T> values(n);
  check(H5Aread(attribute, number_type<T>(), values.data()), "numbers");
  if (scalar) return values[0];
  return values;
}

std::optional<Attribute> read_one(hid_t object, const std::string& name) {
  const Handle attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose, "attribute");
  const Handle type(H5Aget_type(attribute), H5Tclose, "type");
  const Handle space(H5Aget_space(attribute), H5Sclose, "dataspace");
  const auto n = static_cast<std::size_t>(check(H5Sget_simple_extent_npoints(space), "dataspace"));
  const bool scalar = n == 1;
  if (n == 0 || n > 65536) return std::nullopt;
  switch (H5Tget_class(type)) {
    case H5T_STRING:
      if (!scalar) return std::nullopt;
      return Attribute{name, read_text(attribute, type)};
    case H5T_INTEGER:
      return Attribute{name, read_numbers<std::int64_t>(attribute, n, scalar)};
    case H5T_FLOAT:
      return Attribute{name, read_numbers<double>(attribute, n, scalar)};
    default:
      return std::nullopt;
  }
}

}  // namespace

std::vector<Attribute> read_attributes(const std::string& path, const std::string& object) {
  start_library();
  if (!std::filesystem::exists(path)) throw_error(ExitCode::no_input, "'{}' does not exist", path);
  try {
    const Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose, "is no HDF5 file or is damaged");
    const Handle id(H5Oopen(file, object.c_str(), H5P_DEFAULT), H5Oclose, "has no such object");
    std::vector<std::string> names;
    const auto collect = [](hid_t, const char* name, const H5A_info_t*, void* to) -> herr_t {
      static_cast<std::vector<std::string>*>(to)->push_back(name);
      return 0;
    };
    check(H5Aiterate2(id, H5_INDEX_NAME, H5_ITER_INC, nullptr, collect, &names), "has damaged attributes");
    std::vector<Attribute> found;
    for (const std::string& name : names)
      if (auto attribute = read_one(id, name)) found.push_back(std::move(*attribute));
    return found;
  } catch (const Hdf5Failure& e) {
    throw_error(ExitCode::bad_data, "'{}:{}' {}", path, object, e.what());
  }
}

}  // namespace lowbit::store
