// Vector kernels of encode for contiguous groups: codes of a byte or packed, with their scales and zero points.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formats/kernels/encode.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "formats/code_store.hpp"
#include "formats/kernels/codes-inl.h"
#include "formats/kernels/encode.hpp"
#include "formats/kernels/group-inl.h"
#include "formats/kernels/pack-inl.h"
#include "formats/kernels/strip-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {

/// n bytes from a buffer past the caches; `to` is a multiple of 16 bytes, as is n but for the last bytes of all.
HWY_INLINE void stream_bytes(const std::uint8_t* HWY_RESTRICT from, std::size_t n, std::uint8_t* HWY_RESTRICT to) {
  const hn::CappedTag<std::uint8_t, 16> d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::Stream(hn::LoadU(d, from + i), d, to + i);
  std::copy_n(from + i, n - i, to + i);
}

template <class Quantizer>
void encode_strips(const Quantizer q, const BlockPlan& plan, const float* x, std::size_t blocks, std::uint64_t index,
                   SplitParts out) {
  const std::size_t strip = strip_blocks(plan.group), group = plan.group;
  constexpr std::size_t kRoom = kMaxBlock * HWY_MAX_BYTES / 4 + kStripValues;
  HWY_ALIGN std::uint8_t buffer[kRoom], packed[kRoom];
  // of a whole strip, and of the strips before: a multiple of the 16 bytes that are stored past the caches at a time
  const bool stream = plan.stream && strip * group * static_cast<std::size_t>(out.bits) % 128 == 0 &&
                      reinterpret_cast<std::uintptr_t>(out.codes) % 16 == 0;
  Strip s;
  StripCodes c;
  while (blocks > 0) {
    const std::size_t now = std::min(blocks, strip), values = now * group;
    std::uint8_t* codes = out.bits == 8 && !stream ? out.codes : buffer;
    const std::size_t ahead = blocks > strip ? values + kStripAhead : 0;
    StripCodes unusual;
    run_strip(q, plan, x, CodeSink{codes}, now, index, ahead, s, [&](std::size_t b) {
      const GroupState state = reference_codes(plan, x + b * group, group, index + b * group, 1, codes + b * group);
      unusual.scale[b] = state.scale_code;
      unusual.zero[b] = state.zero_code;
    });
    scale_codes(q, s, now, c);
    for (std::size_t b = 0; b < now; ++b) {
      if (s.flags[b] != kUnusual) continue;
      c.scale[b] = unusual.scale[b];
      c.zero[b] = unusual.zero[b];
    }
    put_parts(c, now, out);
    if (out.bits != 8) pack_bits(out.bits, codes, values, stream ? packed : out.codes);
    if (stream)
      stream_bytes(out.bits == 8 ? codes : packed, (values * static_cast<std::size_t>(out.bits) + 7) / 8, out.codes);
    blocks -= now, x += values, index += values, out = out.from(now, values);
  }
}

void EncodeBlocks(const BlockPlan& plan, const float* x, std::size_t blocks, std::uint64_t index, SplitParts out) {
  with_quantizer(plan, [&](const auto q) HWY_ATTR { encode_strips(q, plan, x, blocks, index, out); });
}

bool EncodeMeasured(const BlockPlan& plan, Measured measured, const float* x, std::size_t n, std::uint64_t index,
                    SplitParts out) {
  constexpr std::size_t kPart = 4096;
  HWY_ALIGN std::uint8_t buffer[kPart];
  bool done = false;
  with_quantizer(plan, [&](const auto q) HWY_ATTR {
    Strip s;
    StripCodes c;
    for (std::size_t at = 0; at < n; at += kPart) {
      const std::size_t m = std::min(kPart, n - at);
      std::uint8_t* codes = out.bits == 8 ? out.codes + at : buffer;
      done = quantize_known(q, plan, measured, s, x + at, CodeSink{codes}, m, index + at);
      if (!done) return;
      if (out.bits != 8) pack_bits(out.bits, codes, m, out.codes + at * static_cast<std::size_t>(out.bits) / 8);
    }
    scale_codes(q, s, 1, c);
    put_parts(c, 1, out);
  });
  return done;
}

void PackBits(int bits, const std::uint8_t* codes, std::size_t n, std::uint8_t* to) {
  pack_bits(bits, codes, n, to);
}
void UnpackBits(int bits, const std::uint8_t* from, std::size_t n, std::uint8_t* codes) {
  unpack_bits(bits, from, n, codes);
}

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <vector>

#include "formats/kernels/kernels.hpp"

namespace lowbit::kernels {

HWY_EXPORT(EncodeBlocks);
HWY_EXPORT(EncodeMeasured);
HWY_EXPORT(PackBits);
HWY_EXPORT(UnpackBits);

bool pack_dense(int bits, const std::uint8_t* codes, std::size_t n, std::uint8_t* bytes) {
  if (target() == "ref") return false;
  HWY_DYNAMIC_DISPATCH(PackBits)(bits, codes, n, bytes);
  return true;
}
bool unpack_dense(int bits, const std::uint8_t* bytes, std::size_t n, std::uint8_t* codes) {
  if (target() == "ref") return false;
  HWY_DYNAMIC_DISPATCH(UnpackBits)(bits, bytes, n, codes);
  return true;
}

void encode_blocks(const BlockPlan& plan, const float* x, std::size_t blocks, std::uint64_t index, SplitParts out) {
  HWY_DYNAMIC_DISPATCH(EncodeBlocks)(plan, x, blocks, index, out);
}
bool encode_measured(const BlockPlan& plan, Measured measured, const float* x, std::size_t n, std::uint64_t index,
                     SplitParts out) {
  return HWY_DYNAMIC_DISPATCH(EncodeMeasured)(plan, measured, x, n, index, out);
}

void encode_group(const BlockPlan& plan, const float* x, std::size_t n, std::uint64_t index, SplitParts out) {
  if (encode_measured(plan, measure_group(plan, x, n), x, n, index, out)) return;
  std::vector<std::uint8_t> codes(n);
  const GroupState state = reference_codes(plan, x, n, index, 1, codes.data());
  put_code(out.scales, out.scale_bytes, state.scale_code);
  if (out.zeros != nullptr) put_code(out.zeros, out.zero_bytes, state.zero_code);
  pack_dense(out.bits, codes.data(), n, out.codes);
}

}  // namespace lowbit::kernels
#endif
