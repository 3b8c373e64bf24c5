#include "sim/kv/group_codec.hpp"

#include <algorithm>
#include <cassert>

#include "formats/block.hpp"
#include "formats/block_quantizer.hpp"
#include "formats/code_store.hpp"
#include "formats/error.hpp"
#include "formats/pack.hpp"
#include "sim/kv/group_block.hpp"

namespace lowbit::kv {
namespace {

Layout layout_of(GroupAxis axis, std::size_t rows, std::size_t columns) {
  return Layout({rows, columns}, axis == GroupAxis::token ? -1 : 0);
}

void put_codes(std::vector<std::uint8_t>& out, const std::vector<std::uint32_t>& codes, std::size_t width) {
  const std::size_t old = out.size();
  out.resize(old + codes.size() * width);
  for (std::size_t i = 0; i < codes.size(); ++i)
    put_code(out.data() + old + i * width, static_cast<int>(width), codes[i]);
}

Matrix contiguous(ConstRows rows) {
  Matrix out(rows.rows, rows.columns);
  model::copy_rows(rows, out);
  return out;
}

}  // namespace

std::string to_string(GroupAxis axis) {
  return axis == GroupAxis::channel ? "channel" : "token";
}

Format with_group(Format format, std::size_t size) {
  format.group = GroupKind::size;
  format.group_size = size;
  format.preset.clear();
  return format;
}

GroupCodec::GroupCodec(const Format& format, GroupAxis axis, std::optional<float> fixed_maximum, std::size_t block_rows)
    : format_(format),
      axis_(axis),
      fixed_maximum_(fixed_maximum),
      block_rows_(block_rows != 0            ? block_rows
                  : axis == GroupAxis::token ? kTokenRows
                                             : format.group_size) {
  const auto refuse = [&](const char* reason) {
    throw_error(ExitCode::usage, "a cache cannot seal blocks in '{}': {}", to_string(format), reason);
  };
  if (format.second_level != SecondLevel::none && !fixed_maximum)
    refuse(
        "its second-level scale is that of the whole tensor, which a growing cache does not know; use ts=none or "
        "ts=static with a measured maximum");
  if (format.group != GroupKind::size) refuse("groups of a fixed number of values are expected (gN)");
  if (!format.like.empty()) refuse("like= formats are not kept in caches");
  if (format.element->bits > 8) refuse("elements of at most 8 bits are expected");
  if (format.conversion.rounding == Rounding::sr) refuse("stochastic rounding would depend on how tokens arrive");
}

std::unique_ptr<Block> GroupCodec::seal(ConstRows rows) const {
  assert(rows.rows % granule() == 0 && rows.rows <= block_rows());
  auto block = std::make_unique<GroupBlock>(format_, axis_, rows.columns, fixed_maximum_);
  extend(*block, rows);
  return block;
}

void GroupCodec::extend(Block& block, ConstRows rows) const {
  auto& target = static_cast<GroupBlock&>(block);
  const Matrix values = contiguous(rows);
  QuantizeContext context;
  context.tensor_amax = fixed_maximum_;
  const Quantized q = encode(format_, layout_of(axis_, rows.rows, rows.columns), values.data(), context);
  target.add_rows(q, rows.rows);
}

Matrix GroupCodec::round_trip(ConstRows rows) const {
  Matrix out = contiguous(rows);
  QuantizeContext context;
  context.tensor_amax = fixed_maximum_;
  fake_quantize(format_, layout_of(axis_, rows.rows, rows.columns), out.data(), out.data(), context);
  return out;
}

GroupBlock::GroupBlock(const Format& format, GroupAxis axis, std::size_t width, std::optional<float> fixed_maximum)
    : format_(format),
      axis_(axis),
      width_(width),
      row_bytes_(bytes_of(width * static_cast<std::size_t>(format.element->bits))) {
  scale_bytes_ = static_cast<std::size_t>(bytes_per_code(*format.scale_element));
  zero_bytes_ = format.zero_point == ZeroPoint::none ? 0
                : format.zero_point == ZeroPoint::integer
                    ? 1
                    : static_cast<std::size_t>(bytes_per_code(*format.zero_element));
  std::optional<float> second;
  if (fixed_maximum) second = second_level_scale(format, *fixed_maximum);
  quantizer_ = make_block_quantizer(format, second);
  fast_ = format.zero_point == ZeroPoint::minimum && format.scale_element->name == "fp16" &&
          format.zero_element->name == "fp16" && format.element->bits <= 8;
}

void GroupBlock::add_rows(const Quantized& q, std::size_t rows) {
  static const PackLayout& dense = pack_layout("dense");
  const int bits = format_.element->bits;
  const auto packed = pack_codes(dense, bits, q.codes, width_);
  codes_.insert(codes_.end(), packed.begin(), packed.end());
  put_codes(scales_, q.scales, scale_bytes_);
  if (zero_bytes_ > 0) put_codes(zeros_, q.zero_points, zero_bytes_);
  rows_ += rows;
}

std::size_t GroupBlock::group(std::size_t row, std::size_t channel) const {
  const std::size_t g = format_.group_size;
  return axis_ == GroupAxis::channel ? row / g * width_ + channel : row * ((width_ + g - 1) / g) + channel / g;
}

void GroupBlock::decode(std::size_t first, Rows out) const {
  if (fast_)
    decode_fast(first, out);
  else
    decode_any(first, out);
}

// Through the pipeline that every format has: group after group, each restored from its stored codes.
void GroupBlock::decode_any(std::size_t first, Rows out) const {
  static const PackLayout& dense = pack_layout("dense");
  const int bits = format_.element->bits;
  std::vector<std::uint8_t> codes(out.rows * width_);
  for (std::size_t t = 0; t < out.rows; ++t)
    dense.unpack(bits, codes_.data() + (first + t) * row_bytes_, width_, codes.data() + t * width_);
  const auto state = [&](std::size_t group) {
    const std::uint32_t scale = get_code(scales_.data() + group * scale_bytes_, static_cast<int>(scale_bytes_));
    const std::uint32_t zero =
        zero_bytes_ == 0 ? 0 : get_code(zeros_.data() + group * zero_bytes_, static_cast<int>(zero_bytes_));
    return quantizer_->restore(scale, zero);
  };
  const std::size_t g = format_.group_size;
  std::vector<std::uint32_t> some(std::max(out.rows, width_));
  std::vector<float> values(some.size());
  if (axis_ == GroupAxis::token) {
    for (std::size_t t = 0; t < out.rows; ++t)
      for (std::size_t c = 0; c < width_; c += g) {
        const std::size_t n = std::min(g, width_ - c);
        for (std::size_t i = 0; i < n; ++i) some[i] = codes[t * width_ + c + i];
        quantizer_->decode(state(group(first + t, c)), some.data(), n, out.row(t) + c);
      }
    return;
  }
  for (std::size_t t = 0; t < out.rows;) {  // rows up to the end of their group
    const std::size_t n = std::min(out.rows - t, g - (first + t) % g);
    for (std::size_t c = 0; c < width_; ++c) {
      for (std::size_t i = 0; i < n; ++i) some[i] = codes[(t + i) * width_ + c];
      quantizer_->decode(state(group(first + t, c)), some.data(), n, values.data());
      for (std::size_t i = 0; i < n; ++i) out.row(t + i)[c] = values[i];
    }
    t += n;
  }
}

Bytes GroupBlock::bytes() const {
  Bytes bytes;
  bytes.codes = codes_.size();
  bytes.scales = scales_.size() + zeros_.size();
  return bytes;
}

void GroupBlock::dump(std::vector<std::uint8_t>& out) const {
  for (const auto* part : {&codes_, &scales_, &zeros_}) out.insert(out.end(), part->begin(), part->end());
}

}  // namespace lowbit::kv
