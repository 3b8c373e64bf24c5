"""Ends of sentences among tokens: the rule of sim/early_exit/sentences.hpp, byte by byte, with the same abbreviations.

A sentence ends behind a run of [.!?] with closing quotes or brackets that a blank follows, and behind a newline; a full
stop after an abbreviation ends none, and blanks alone are no sentence. Its last token is the one that holds the run's
last byte (the newline). `wrapped`: a newline is a blank and an empty line ends a sentence.
"""
import pathlib
import re

ABBREVIATIONS = pathlib.Path(__file__).resolve().parents[2] / "sim/early_exit/abbreviations.inc"
BLANKS, STOPS, ASCII_CLOSERS = b" \t\n\v\f\r", b".!?", b"\"')]}"
CLOSERS = [quote.encode() for quote in "’”»›"]


def abbreviations():
    return {word.encode() for word in re.findall(r'^"([^"]+)",$', ABBREVIATIONS.read_text(encoding="utf-8"), re.MULTILINE)}


def run_ends(text, known, wrapped):
    """(bytes from the beginning to the end of each sentence's last run or newline, whether it is a run)"""
    has_text, newlines, word, at = False, 0, b"", 0
    while at < len(text):
        c = text[at:at + 1]
        if c in BLANKS:
            word, newlines = b"", newlines + (c == b"\n")
            at += 1
            if c == b"\n" and has_text and newlines >= (2 if wrapped else 1):
                yield at, False
                has_text, newlines = False, 0
            continue
        has_text, newlines = True, 0
        if c in STOPS and not (c == b"." and word in known):
            end = run_end(text, at)
            word = word_before(text, end)
            at = end
            if end < len(text) and text[end:end + 1] in BLANKS:
                yield end, True
                has_text = False
            continue
        word = word + c.lower() if c.isalpha() or c == b"." else b""
        at += 1


def run_end(text, at):
    """The end of the stops, closing quotes and brackets that begin at `at`."""
    while at < len(text):
        closer = next((q for q in CLOSERS if text.startswith(q, at)), None)
        if closer is None and not text[at:at + 1] in (*map(bytes, zip(STOPS)), *map(bytes, zip(ASCII_CLOSERS))):
            break
        at += len(closer or b" ")
    return at


def word_before(text, at):
    return re.search(rb"[A-Za-z.]*$", text[max(0, at - 64):at]).group().lower()


def sentence_ends(pieces, wrapped=False):
    """Number of tokens from the beginning to each sentence's end; `pieces` are the tokens' bytes.
    What is left after the last end is the last sentence."""
    known, text = abbreviations(), b"".join(pieces)
    ends, token, seen = [], 0, 0
    for byte, run in run_ends(text, known, wrapped):
        while seen + len(pieces[token]) < byte:
            seen += len(pieces[token])
            token += 1
        behind = token + 1  # tokens without text belong to the run before them
        if run and seen + len(pieces[token]) == byte:
            while behind < len(pieces) and not pieces[behind]:
                behind += 1
        if not ends or ends[-1] != behind:
            ends.append(behind)
    if pieces and (not ends or ends[-1] != len(pieces)):
        ends.append(len(pieces))
    return ends


def byte_characters():
    """The characters that byte-level tokenizers write for bytes: printable ones for themselves, the others from U+0100 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(others)}


def token_pieces(tokenizer, encoding, text):
    """The bytes of each token; those of `text` put together. Offsets serve where the tokenizer is not byte-level."""
    characters, special = byte_characters(), tokenizer.get_added_tokens_decoder()
    pieces = []
    for number in encoding.ids:
        token = tokenizer.id_to_token(number)
        if number in special or any(c not in characters for c in token):
            pieces.append(token.encode())
        else:
            pieces.append(bytes(characters[c] for c in token))
    if b"".join(pieces) == text.encode():
        return pieces
    pieces, last = [], 0
    for _, end in encoding.offsets:
        pieces.append(text[last:max(last, end)].encode())
        last = max(last, end)
    return pieces
