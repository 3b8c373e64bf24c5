#include "results/store/tree.hpp"

#include <fmt/format.h>

#include <set>
#include <stdexcept>

namespace lowbit::store {
namespace {

template <class Items>
auto* find_named(Items& items, std::string_view name) {
  for (auto& item : items)
    if (item.name == name) return &item;
  return static_cast<decltype(&items[0])>(nullptr);
}

void check_array(const Group& group, const Array& array) {
  for (std::size_t extent : array.shape)
    if (extent == 0) throw std::logic_error(fmt::format("array '{}' has an empty dimension", array.name));
  if (array.shape.empty()) throw std::logic_error(fmt::format("array '{}' has no dimension", array.name));
  if (array.size() != data_size(array.data))
    throw std::logic_error(fmt::format("array '{}' holds {} values, its shape asks for {}", array.name,
                                       data_size(array.data), array.size()));
  if (const auto* texts = std::get_if<std::vector<std::string>>(&array.data))
    for (const std::string& text : *texts)
      if (text.find('\0') != std::string::npos)
        throw std::logic_error(fmt::format("array '{}' holds a text with a NUL", array.name));
  if (array.dims.empty()) return;
  if (array.dims.size() != array.shape.size())
    throw std::logic_error(
        fmt::format("array '{}': {} dims for {} dimensions", array.name, array.dims.size(), array.shape.size()));
  for (std::size_t d = 0; d < array.dims.size(); ++d) {
    const Array* coordinate = group.array(array.dims[d]);
    if (!coordinate || !coordinate->is_coordinate() || coordinate->size() != array.shape[d])
      throw std::logic_error(fmt::format("array '{}': dim '{}' has no coordinate of {} values", array.name,
                                         array.dims[d], array.shape[d]));
  }
}

}  // namespace

std::size_t Array::size() const {
  std::size_t n = 1;
  for (std::size_t extent : shape) n *= extent;
  return n;
}

std::size_t data_size(const ArrayData& data) {
  return std::visit([](const auto& values) { return values.size(); }, data);
}

const Array* Group::array(std::string_view name) const {
  return find_named(arrays, name);
}
const Group* Group::group(std::string_view name) const {
  return find_named(groups, name);
}
Array* Group::array(std::string_view name) {
  return find_named(arrays, name);
}
Group* Group::group(std::string_view name) {
  return find_named(groups, name);
}

const AttributeValue* Group::attribute(std::string_view name) const {
  const Attribute* found = find_named(attributes, name);
  return found ? &found->value : nullptr;
}

void Group::set(std::string_view name, AttributeValue value) {
  if (Attribute* found = find_named(attributes, name))
    found->value = std::move(value);
  else
    attributes.push_back({std::string(name), std::move(value)});
}

Array& Group::add_coordinate(const std::string& name, ArrayData values, const std::string& units,
                             const std::string& meaning) {
  const std::size_t n = data_size(values);
  arrays.push_back({name, {name}, {n}, std::move(values), {{"units", units}, {"long_name", meaning}}});
  return arrays.back();
}

void check_tree(const Group& root) {
  std::set<std::string> names;
  for (const Array& array : root.arrays) {
    if (array.name.empty() || array.name.find_first_of("/ ") != std::string::npos || !names.insert(array.name).second)
      throw std::logic_error(fmt::format("array name '{}' is empty, holds '/' or a blank, or is taken", array.name));
    check_array(root, array);
  }
  for (const Group& group : root.groups) {
    if (group.name.empty() || group.name.find('/') != std::string::npos || !names.insert(group.name).second)
      throw std::logic_error(fmt::format("group name '{}' is empty, holds '/' or is taken", group.name));
    check_tree(group);
  }
}

}  // namespace lowbit::store
