#include "sim/early_exit/sentences.hpp"

#include <algorithm>

namespace lowbit::early_exit {

namespace {

constexpr std::string_view kAbbreviations[] = {
#include "sim/early_exit/abbreviations.inc"
};
/// Closing quotes beyond ASCII in UTF-8: U+2019, U+201D, U+00BB, U+203A.
constexpr std::string_view kClosers[] = {"\xE2\x80\x99", "\xE2\x80\x9D", "\xC2\xBB", "\xE2\x80\xBA"};
constexpr std::string_view kBlanks = " \t\n\v\f\r", kStops = ".!?", kAsciiClosers = "\"')]}";

bool is_in(char c, std::string_view set) {
  return set.find(c) != std::string_view::npos;
}

bool is_abbreviation(std::string_view word) {
  return std::find(std::begin(kAbbreviations), std::end(kAbbreviations), word) != std::end(kAbbreviations);
}

}  // namespace

/// Whether the run that ends a sentence goes on with c; closer_ collects quotes of several bytes.
bool SentenceSplitter::continues_run(char c) {
  closer_ += c;
  const auto begins = [&](std::string_view closer) { return closer.starts_with(closer_); };
  if (is_in(c, kStops) || is_in(c, kAsciiClosers)) {
    if (closer_.size() > 1) return false;  // in the middle of a quote that is none
  } else if (std::none_of(std::begin(kClosers), std::end(kClosers), begins)) {
    return false;
  } else if (std::find(std::begin(kClosers), std::end(kClosers), closer_) == std::end(kClosers)) {
    return true;  // a quote of which bytes are missing
  }
  closer_.clear();
  run_here_ = true;
  return true;
}

void SentenceSplitter::close() {
  text_ = pending_ = false;
  newlines_ = 0;
  closer_.clear();
}

void SentenceSplitter::newline(SentenceStep& step) {
  ++newlines_;
  if (!text_ || newlines_ < (wrapped_ ? 2 : 1)) return;
  step.closes_this = true;
  close();
}

void SentenceSplitter::put(char c, SentenceStep& step) {
  if (is_in(c, kBlanks)) {
    if (pending_ && closer_.empty()) {
      (run_here_ ? step.closes_this : step.closes_previous) = true;
      close();
    }
    pending_ = false;
    word_.clear();
    if (c == '\n') newline(step);
    return;
  }
  newlines_ = 0;
  text_ = true;
  if (pending_) pending_ = continues_run(c);
  if (!pending_) {
    closer_.clear();
    if (is_in(c, kStops) && !(c == '.' && is_abbreviation(word_))) pending_ = run_here_ = true;
  }
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  if (letter || c == '.')
    word_ += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  else
    word_.clear();
}

SentenceStep SentenceSplitter::add(std::string_view token) {
  SentenceStep step;
  run_here_ = token.empty();
  for (const char c : token) put(c, step);
  if (closed_) step.closes_previous = false;  // two ends in one token are one
  closed_ = step.closes_this;
  return step;
}

std::vector<std::size_t> sentence_ends(std::span<const std::string> tokens, bool wrapped) {
  std::vector<std::size_t> ends;
  SentenceSplitter splitter(wrapped);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const SentenceStep step = splitter.add(tokens[i]);
    if (step.closes_previous) ends.push_back(i);
    if (step.closes_this) ends.push_back(i + 1);
  }
  if (!tokens.empty() && (ends.empty() || ends.back() != tokens.size())) ends.push_back(tokens.size());
  return ends;
}

bool begins_transition(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  return first != std::string_view::npos && text.substr(first).starts_with("Wait");
}

}  // namespace lowbit::early_exit
