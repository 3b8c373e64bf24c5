// Small questions that the resolvers and walkers of the named implementations ask.
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "formats/block.hpp"

namespace lowbit::like {

/// Whether the user wrote the option `key` ("rule", "round", ...).
bool is_given(std::span<const std::string> given, std::string_view key);

/// Whether the integer codes may reach -2^(b-1).
bool is_full_range(const Format& format);

/// Error unless the axis is a whole number of groups of `size`: the implementation has no ragged groups.
void require_whole_groups(const Format& format, const Layout& layout, std::size_t size);

}  // namespace lowbit::like
