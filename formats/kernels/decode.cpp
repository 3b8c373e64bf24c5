// Vector kernels of decode for contiguous groups of codes of at most 8 bits.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formats/kernels/decode.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "formats/kernels/decoder-inl.h"
#include "formats/kernels/encode.hpp"
#include "formats/kernels/load_codes-inl.h"
#include "formats/kernels/pack-inl.h"
#include "formats/kernels/strip-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels {
namespace HWY_NAMESPACE {

constexpr std::size_t kPart = 2048;  ///< values that are decoded at once

/// Groups of a part, their codes and factors.
struct DecodePart {
  const std::uint8_t* codes;
  std::size_t groups, size;  ///< size: values of each
  const float* scale;
  const float* offset;
  float second;
  bool stream;
};

/// A group in kVectors vectors, or (kVectors == 0) in any number of values.
template <Scaler kScaler, bool kNumbers, int kVectors, class Decoder>
HWY_INLINE void decode_part(const Decoder decoder, const CodeLoader& load, const DecodePart p, float* y) {
  const D d;
  const std::size_t lanes = hn::Lanes(d), size = kVectors == 0 ? p.size : kVectors * lanes;
  const std::size_t whole = size / lanes * lanes, bytes = load.bytes();
  const std::uint8_t* codes = p.codes;
  for (std::size_t g = 0; g < p.groups; ++g, y += size) {
    const V scale = hn::Set(d, p.scale[g]), offset = hn::Set(d, p.offset[g]);
    const auto next = [&]() HWY_ATTR {
      const V v = decoded<kScaler, kNumbers>(decoder, load(codes), scale, offset, p.second);
      codes += bytes;
      return v;
    };
    for (std::size_t i = 0; i < whole; i += lanes) {
      if (p.stream)
        hn::Stream(next(), d, y + i);
      else
        hn::StoreU(next(), d, y + i);
    }
    if (kVectors != 0 || whole == size) continue;
    const std::uint8_t* last = codes;
    HWY_ALIGN float out[HWY_MAX_BYTES / 4];
    hn::StoreU(next(), d, out);
    std::copy_n(out, size - whole, y + whole);
    codes = last + ((size - whole) * bytes + lanes - 1) / lanes;
  }
}

/// Whether the n codes of a byte are all numbers. Only for elements of 8 bits.
HWY_INLINE bool are_numbers(const FloatDecoder decoder, const std::uint8_t* codes, std::size_t n) {
  if (decoder.nan_code >= 0) return std::memchr(codes, decoder.nan_code, n) == nullptr;
  const hn::ScalableTag<std::uint8_t> d8;
  const std::size_t lanes = hn::Lanes(d8);
  auto largest = hn::Zero(d8);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) largest = hn::Max(largest, hn::And(hn::LoadU(d8, codes + i), hn::Set(d8, 0x7f)));
  const auto limit = hn::Set(d8, static_cast<std::uint8_t>(decoder.max_code));
  bool all = hn::AllTrue(d8, hn::Eq(hn::Max(largest, limit), limit));
  for (; i < n; ++i) all = all && (codes[i] & 0x7f) <= decoder.max_code;
  return all;
}
template <class Decoder>
HWY_INLINE bool are_numbers(const Decoder, const std::uint8_t*, std::size_t) {
  return false;
}

/// `size`: values of a group, at most kPart.
template <Scaler kScaler, class Decoder>
void decode_all(const BlockPlan& plan, SplitParts in, std::size_t groups, std::size_t size, float* y) {
  HWY_ALIGN std::uint8_t buffer[kPart + kCodeSlack];
  HWY_ALIGN float scale[kPart + HWY_MAX_BYTES / 4], offset[kPart + HWY_MAX_BYTES / 4] = {};
  const Decoder decoder(plan.element);
  const bool direct = CodeLoader::takes(in.bits);
  const CodeLoader load(direct ? in.bits : 8, plan.element.bits);
  const bool numbers_only = decoder.numbers_only();
  while (groups > 0) {
    const std::size_t now = std::min(groups, kPart / size), n = now * size;
    const std::size_t bytes = (n * static_cast<std::size_t>(in.bits) + 7) / 8;
    group_constants(plan, in, now, scale, offset);
    const bool finite = are_finite(scale, now) && are_finite(offset, now);
    DecodePart part{in.codes, now, size, scale, offset, plan.second, plan.stream};
    if (!direct || now == groups) part.codes = buffer;
    if (!direct)
      unpack_bits(in.bits, in.codes, n, buffer);
    else if (now == groups)  // loads may reach beyond the last codes
      std::memcpy(buffer, in.codes, bytes);
    if (!finite || !(numbers_only || (in.bits == 8 && plan.element.bits == 8 && are_numbers(decoder, in.codes, n)))) {
      decode_part<kScaler, false, 0>(decoder, load, part, y);
    } else {
      with_vectors(size % hn::Lanes(D()) == 0 ? size / hn::Lanes(D()) : 0,
                   [&](auto vectors) HWY_ATTR { decode_part<kScaler, true, vectors()>(decoder, load, part, y); });
    }
    in = in.from(now, n);
    groups -= now, y += n;
  }
}

void DecodeGroups(const BlockPlan& plan, const SplitParts& in, std::size_t groups, std::size_t size, float* y) {
  if constexpr (kEmulated) return;
  with_decoding(plan, [&]<Scaler kScaler, class Decoder>() HWY_ATTR {
    if (size <= kPart) return decode_all<kScaler, Decoder>(plan, in, groups, size, y);
    for (std::size_t g = 0; g < groups; ++g)
      for (std::size_t at = 0; at < size; at += kPart) {
        const std::size_t n = std::min(kPart, size - at);
        decode_all<kScaler, Decoder>(plan, in.from(g, g * size + at), 1, n, y + g * size + at);
      }
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace lowbit::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowbit::kernels {
HWY_EXPORT(DecodeGroups);
void decode_groups(const BlockPlan& plan, SplitParts in, std::size_t groups, std::size_t size, float* y) {
  HWY_DYNAMIC_DISPATCH(DecodeGroups)(plan, in, groups, size, y);
}
}  // namespace lowbit::kernels
#endif
