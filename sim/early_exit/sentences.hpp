// Sentences of a text that arrives token by token: where a detector that looks at sentence ends is asked.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lowbit::early_exit {

/// What the last token did to the sentences.
struct SentenceStep {
  bool closes_previous = false;  ///< the token before it was the last of a sentence
  bool closes_this = false;      ///< it is the last of a sentence itself
};

/// A sentence ends behind a run of [.!?] with closing quotes or brackets that a blank follows, and behind a newline; a
/// full stop after an abbreviation (abbreviations.inc) ends none, and blanks alone are no sentence. Its last token is
/// the one that holds the last byte of that run (the newline). What follows the last end is the beginning of the next
/// sentence. Texts are bytes, blanks those of ASCII.
/// Not stated in the paper: the rule; it names NLTK's splitter, whose trained parameters know more abbreviations and
/// look at the next word.
class SentenceSplitter {
 public:
  /// wrapped: lines are broken where they are full, so that a newline is a blank and an empty line ends a sentence.
  explicit SentenceSplitter(bool wrapped = false) : wrapped_(wrapped) {}
  /// The text of the next token; a token without text belongs to the run before it.
  SentenceStep add(std::string_view token);

 private:
  void put(char c, SentenceStep& step);
  bool continues_run(char c);
  void newline(SentenceStep& step);
  void close();

  bool wrapped_;
  bool text_ = false;      ///< the sentence has a character that is no blank
  bool pending_ = false;   ///< behind a run that ends a sentence if a blank follows
  bool run_here_ = false;  ///< the run's last byte lies in the present token
  bool closed_ = false;    ///< the token before the present one is the last of a sentence
  int newlines_ = 0;       ///< in the blanks just passed
  std::string word_;       ///< letters and full stops just passed, in lower case
  std::string closer_;     ///< bytes of an unfinished closing quote
};

/// Number of tokens from the beginning to each sentence's end, ascending; the last is tokens.size(): what is left after
/// the last end, blank or not, is the last sentence. Empty for no tokens.
std::vector<std::size_t> sentence_ends(std::span<const std::string> tokens, bool wrapped = false);

/// Whether the text, after its leading blanks, begins with "Wait": the transition word at which DEER asks.
bool begins_transition(std::string_view text);

}  // namespace lowbit::early_exit
