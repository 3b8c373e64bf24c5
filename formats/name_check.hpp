// What a format name leaves out, and what it must not combine.
#pragma once
#include "formats/name_option.hpp"

namespace lowbit::name {

/// Fills the fields that no option of `set` decides with the defaults that parse_format documents.
void fill_defaults(const Options& set, Format& format);

/// Error without a prefix for options that contradict each other or the element, naming what is accepted.
/// set: the options written or implied by the preset.
void check(const Options& set, const Format& format);

}  // namespace lowbit::name
