// A result file in memory: groups of named arrays and attributes. Everything that is stored is put together as such a
// tree and written in one go (hdf5_file.hpp); everything that is read comes back as one.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace lowbit::store {

/// Attributes are scalars or short lists. Texts are UTF-8.
using AttributeValue = std::variant<std::int64_t, double, std::string, std::vector<std::int64_t>, std::vector<double>>;
struct Attribute {
  std::string name;
  AttributeValue value;
  bool operator==(const Attribute&) const = default;
};

/// Values in C order. Texts are stored with a fixed length, so they must not hold NUL.
using ArrayData =
    std::variant<std::vector<double>, std::vector<float>, std::vector<std::int64_t>, std::vector<std::uint8_t>,
                 std::vector<std::uint16_t>, std::vector<std::uint32_t>, std::vector<std::string>>;

/// A dataset. `dims` names its dimensions; a one-dimensional array whose only dim has its own name is a coordinate
/// (dimension scale), to which the other arrays of the group are attached. An array may leave `dims` empty: its
/// dimensions then have no names.
struct Array {
  std::string name;
  std::vector<std::string> dims;
  std::vector<std::size_t> shape;
  ArrayData data;
  std::vector<Attribute> attributes;

  std::size_t size() const;  ///< product of the shape
  bool is_coordinate() const { return dims.size() == 1 && dims[0] == name; }
  bool operator==(const Array&) const = default;
};

struct Group {
  std::string name;  ///< empty for the root
  std::vector<Attribute> attributes;
  std::vector<Array> arrays;
  std::vector<Group> groups;

  /// nullptr if there is none of that name.
  const Array* array(std::string_view name) const;
  const Group* group(std::string_view name) const;
  const AttributeValue* attribute(std::string_view name) const;
  Array* array(std::string_view name);
  Group* group(std::string_view name);
  /// Sets or replaces an attribute.
  void set(std::string_view name, AttributeValue value);
  /// Adds a one-dimensional coordinate with its unit and meaning.
  Array& add_coordinate(const std::string& name, ArrayData values, const std::string& units,
                        const std::string& meaning);
  bool operator==(const Group&) const = default;
};

/// Number of values held.
std::size_t data_size(const ArrayData& data);

/// What is wrong with the tree, as a file: a shape that does not match its data, a dim without the coordinate's length,
/// two things of one name, an empty dimension, a text with NUL. Throws std::logic_error naming the array.
void check_tree(const Group& root);

}  // namespace lowbit::store
