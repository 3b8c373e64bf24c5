#include "sim/early_exit/sentences.hpp"

#include "tests/support/catch.hpp"

using namespace lowbit::early_exit;

namespace {

using Words = std::vector<std::string>;
using Ends = std::vector<std::size_t>;

/// Every byte a token of its own; the sentences as texts.
Words sentences_of(const std::string& text, bool wrapped = false) {
  Words bytes, sentences;
  for (const char c : text) bytes.emplace_back(1, c);
  std::size_t from = 0;
  for (const std::size_t end : sentence_ends(bytes, wrapped))
    sentences.push_back(text.substr(from, end - from)), from = end;
  return sentences;
}

}  // namespace

TEST_CASE("sentences end at stops before a blank, with the quotes and brackets that close", "[early_exit][sentences]") {
  CHECK(sentences_of("One. Two? Three!") == Words{"One.", " Two?", " Three!"});
  CHECK(sentences_of("He said \"No.\" Then (why?) he left.") == Words{"He said \"No.\"", " Then (why?)", " he left."});
  CHECK(sentences_of("“So.” It’s «Да!» fine") == Words{"“So.”", " It’s «Да!»", " fine"});
  CHECK(sentences_of("x = 1.5. Is f(x)=3.1?) ok") == Words{"x = 1.5.", " Is f(x)=3.1?)", " ok"});
  CHECK(sentences_of("What?! Yes... so it is") == Words{"What?!", " Yes...", " so it is"});
  CHECK(sentences_of("a.b c.”d e.é f.\xE2 g") == Words{"a.b c.”d e.é f.\xE2 g"});
}

TEST_CASE("an abbreviation ends no sentence", "[early_exit][sentences]") {
  CHECK(sentences_of("Mr. Elliot, i.e. (cf. Fig. 3) him. Dr. No") ==
        Words{"Mr. Elliot, i.e. (cf. Fig. 3) him.", " Dr. No"});
  CHECK(sentences_of("The first. Amr. b") == Words{"The first.", " Amr.", " b"});
  CHECK(sentences_of("Mr? Yes") == Words{"Mr?", " Yes"});
}

TEST_CASE("a newline ends a sentence and blanks are none", "[early_exit][sentences]") {
  CHECK(sentences_of("Title\n\n\nText.\n\nMore\n") == Words{"Title\n", "\n\nText.", "\n\nMore\n"});
  CHECK(sentences_of("Text.  \n ") == Words{"Text.", "  \n "});  // what is left is the last sentence
  CHECK(sentences_of(" \n\n") == Words{" \n\n"});
  CHECK(sentences_of("") == Words{});
  CHECK(sentences_of("a\nb\n \nc. d", true) == Words{"a\nb\n \n", "c.", " d"});
  CHECK(sentences_of("a.\nb\nc", true) == Words{"a.", "\nb\nc"});
}

TEST_CASE("a sentence's last token holds its last byte", "[early_exit][sentences]") {
  CHECK(sentence_ends(Words{"So", ".", " Next", ".\n\n", "And", ". Then", " x"}) == Ends{2, 4, 6, 7});
  CHECK(sentence_ends(Words{"So", ".", "\"", " x"}) == Ends{3, 4});
  CHECK(sentence_ends(Words{"So.", "", " x"}) == Ends{2, 3});  // a token without text belongs to what is before it
  CHECK(sentence_ends(Words{"a. b.", " c"}) == Ends{1, 2});    // two ends in one token are one
  CHECK(sentence_ends(Words{"So.", "\xE2\x80", "\x9D", " x"}) == Ends{3, 4});  // a quote in two tokens
  CHECK(sentence_ends(Words{"So.", "\n", "\n", "x"}) == Ends{1, 4});
  CHECK(sentence_ends(Words{"So.", "\n", " "}) == Ends{1, 3});
  CHECK(sentence_ends(Words{" "}) == Ends{1});
}

TEST_CASE("a step says at once what is certain and waits where a blank decides", "[early_exit][sentences]") {
  SentenceSplitter splitter;
  CHECK_FALSE(splitter.add("So.").closes_this);
  const SentenceStep blank = splitter.add(" And");
  CHECK(blank.closes_previous);
  CHECK_FALSE(blank.closes_this);
  CHECK(splitter.add(".\n").closes_this);
  CHECK_FALSE(splitter.add("\n").closes_previous);
}

TEST_CASE("the transition word is looked for behind blanks", "[early_exit][sentences]") {
  CHECK(begins_transition("Wait"));
  CHECK(begins_transition("\n Wait,"));
  CHECK_FALSE(begins_transition("wait"));
  CHECK_FALSE(begins_transition(" "));
  CHECK_FALSE(begins_transition("\"Wait"));
}
