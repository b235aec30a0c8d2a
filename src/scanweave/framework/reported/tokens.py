"""Reports as numbers: words cut into pieces that a network knows, by the library tokenizers.

A tokenizer is made from a cohort's own reports, or read from the folder of a BERT. The pieces that are made are the
words that come most often, and all characters, of which any other word is put together. The library's own trainer gives
another vocabulary each time (`findings/wordpiece-trainer-vocabulary.sh`), and the same command must give the same
weights.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.files import atomic_write, is_plain, plain_size, read_json

FILE = "tokenizer.json"
PADDING, UNKNOWN, FIRST, LAST, HIDDEN = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
JOINED = "##"
"""Beginning of a piece that goes on a word."""
LEAST_COUNT = 2
"""Times that a word is read before it is a piece of its own."""
NO_WORD = -1
"""Number of what stands in no word and no sentence: the first and last piece, and padding."""
MOST_BYTES = 2**26
"""Of a file of a tokenizer; those of multilingual BERTs have 10 million."""
LONGEST_WORD = 100
"""Letters; a longer word is unknown, as in BERT."""
_ADVICE = "Name the folder of a BERT with tokenizer.json or vocab.txt"


class Tokens(NamedTuple):
    """A report as pieces.

    Attributes:
        ids: Number of each piece `(L,)`, that of `[PAD]` after the last one.
        words: Word of the report that each piece belongs to `(L,)`, `NO_WORD` where it is none.
        sentences: Its sentence, likewise.
    """

    ids: NDArray[np.int64]
    words: NDArray[np.int64]
    sentences: NDArray[np.int64]


class ReportTokenizer:
    """Cut reports into pieces.

    Args:
        tokenizer: Of the library tokenizers, with the pieces of `SPECIAL`.
        most_tokens: Pieces L of a report, the first and last one among them.
    """

    def __init__(self, tokenizer: Any, most_tokens: int) -> None:
        self.tokenizer, self.most_tokens = tokenizer, most_tokens
        self.special = {name: tokenizer.token_to_id(name) for name in SPECIAL}
        if None in self.special.values():
            absent = next(name for name, number in self.special.items() if number is None)
            raise ScanweaveError("tokenizer", f"has no piece {absent}", _ADVICE)

    @classmethod
    def of_texts(cls, texts: Iterable[str], vocabulary: int, most_tokens: int) -> Self:
        """Make a tokenizer of the words that come most often; the same texts give the same one.

        Args:
            texts: Reports.
            vocabulary: Pieces up to which words are taken; letters there are always.
            most_tokens: Pieces of a report.
        """
        library = require("tokenizers", "text")
        before = _cutter(library, lowercase=True)
        counts: Counter[str] = Counter()
        for text in texts:
            normal = before.normalizer.normalize_str(text)
            counts.update(word for word, _ in before.pre_tokenizer.pre_tokenize_str(normal))
        letters = sorted({letter for word in counts for letter in word})
        pieces = [*SPECIAL, *letters, *(f"{JOINED}{letter}" for letter in letters)]
        often = sorted(counts, key=lambda word: (-counts[word], word))
        words = [word for word in often if len(word) > 1 and counts[word] >= LEAST_COUNT]
        pieces += words[: max(0, vocabulary - len(pieces))]
        return cls(_with_pieces(library, {piece: number for number, piece in enumerate(pieces)}, True), most_tokens)

    @classmethod
    def of_folder(cls, folder: Path, most_tokens: int) -> Self:
        """Read the tokenizer of a BERT.

        Raises:
            ScanweaveError: The folder holds none, or it is damaged.
        """
        if is_plain(folder / FILE):
            return cls.load(folder / FILE, most_tokens)
        library, path = require("tokenizers", "text"), folder / "vocab.txt"
        if not is_plain(path):
            raise ScanweaveError(folder, f"holds no {FILE} and no vocab.txt", _ADVICE)
        lines = _small_text(path).rstrip("\n").split("\n")  # other marks of a line's end are pieces
        told = folder / "tokenizer_config.json"
        said = read_json(told, _ADVICE) if is_plain(told) else {}
        lower = bool(said.get("do_lower_case", True)) if isinstance(said, dict) else True
        pieces = {piece.rstrip("\r"): number for number, piece in enumerate(lines)}
        return cls(_with_pieces(library, pieces, lower), most_tokens)

    @classmethod
    def load(cls, path: Path, most_tokens: int) -> Self:
        """Read what `save` wrote.

        Raises:
            ScanweaveError: The file is absent or damaged.
        """
        library = require("tokenizers", "text")
        text = _small_text(path)
        try:
            found = library.Tokenizer.from_str(text)
        except Exception as error:
            if type(error) is not Exception:  # the library raises just this of a file that it cannot read
                raise
            raise ScanweaveError(path, f"is no tokenizer ({error})", "Restore the file, or fit again") from error
        found.no_truncation()
        found.no_padding()
        return cls(found, most_tokens)

    def save(self, path: Path) -> None:
        """Write the tokenizer."""
        with atomic_write(path) as temporary:
            temporary.write_text(self.tokenizer.to_str(pretty=False), encoding="utf-8")

    @property
    def pieces(self) -> int:
        """Size of the vocabulary: one more than the highest number of a piece."""
        return max(self.tokenizer.get_vocab().values()) + 1

    def unknown(self, text: str) -> list[str]:
        """Return the words of a text that are unknown or put together of single letters, and so say nothing."""
        words = self.tokenizer.pre_tokenizer.pre_tokenize_str(self.tokenizer.normalizer.normalize_str(text))
        return [word for word, _ in words if any(map(str.isalnum, word)) and not self._knows(word)]

    def _knows(self, word: str) -> bool:
        pieces = self.tokenizer.encode(word, add_special_tokens=False).tokens
        return UNKNOWN not in pieces and (len(word) == 1 or max(len(one.removeprefix(JOINED)) for one in pieces) > 1)

    def fits(self, sentences: Sequence[str]) -> bool:
        """Tell whether all of a report is read."""
        return sum(len(made.ids) for _, made in self._cut(sentences)) <= self.most_tokens - 2

    def words(self, sentences: Sequence[str]) -> list[str]:
        """Return the words that are read of a report, in the order of their numbers."""
        found: list[str] = []
        for sentence, made in self._cut(sentences):
            spans: dict[int, list[int]] = {}
            for word, (start, stop) in zip(made.word_ids, made.offsets, strict=True):
                spans.setdefault(word, []).extend((start, stop))
            found += [sentence[min(span) : max(span)] for span in spans.values()]
        return found[: int(self.tokens(sentences).words.max()) + 1]

    def tokens(self, sentences: Sequence[str]) -> Tokens:
        """Return a report as pieces: `[CLS]`, its words, `[SEP]`, padding.

        A word that does not fit is left out whole, but for the first one, which is cut off.

        Args:
            sentences: Of the report, in order.
        """
        room = self.most_tokens - 2
        ids, words, places = list[int](), list[int](), list[int]()
        for number, (_, made) in enumerate(self._cut(sentences)):
            begun = words[-1] + 1 if words else 0
            ids += made.ids
            words += [begun + word for word in made.word_ids]
            places += [number] * len(made.ids)
            if len(ids) > room:
                break
        if len(ids) > room:
            kept = sum(word < words[room] for word in words) or room
            ids, words, places = ids[:kept], words[:kept], places[:kept]
        first, last, padding = (self.special[name] for name in (FIRST, LAST, PADDING))
        rest = self.most_tokens - len(ids) - 2
        return Tokens(
            np.array([first, *ids, last, *[padding] * rest], dtype=np.int64),
            *(np.array([NO_WORD, *one, NO_WORD, *[NO_WORD] * rest], dtype=np.int64) for one in (words, places)),
        )

    def text(self, ids: Sequence[int]) -> str:
        """Return pieces as a text: words put together, marks without a space before them, sentences begun large."""
        words = list[str]()
        for number in ids:
            piece = self.tokenizer.id_to_token(number) or ""
            if piece in SPECIAL:
                continue
            if piece.startswith(JOINED) and words:
                words[-1] += piece.removeprefix(JOINED)
            else:
                words.append(piece.removeprefix(JOINED))
        spaced = re.sub(r"\s+([.,;:!?)\]])", r"\1", " ".join(words))
        spaced = re.sub(r"([(\[])\s+", r"\1", re.sub(r"\s*([-/])\s*", r"\1", spaced))
        return re.sub(r"(^|[.!?]\s+)(\w)", lambda found: found[1] + found[2].upper(), spaced)

    def _cut(self, sentences: Sequence[str]) -> Iterable[tuple[str, Any]]:
        """Yield each sentence with its pieces."""
        for sentence in sentences:
            yield sentence, self.tokenizer.encode(sentence, add_special_tokens=False)


def _small_text(path: Path) -> str:
    """Return the text of a file of a tokenizer.

    Raises:
        ScanweaveError: It is absent, too large, or no UTF-8.
    """
    if plain_size(path) > MOST_BYTES:
        raise ScanweaveError(path, f"holds more than {MOST_BYTES // 2**20} MiB", _ADVICE)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ScanweaveError(path, f"is no UTF-8 ({error})", _ADVICE) from error


def _cutter(library: Any, *, lowercase: bool) -> Any:
    """Return a tokenizer that cuts texts into words as BERT does, without pieces."""
    made = library.Tokenizer(library.models.WordPiece(unk_token=UNKNOWN))
    made.normalizer = library.normalizers.BertNormalizer(lowercase=lowercase)
    made.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
    return made


def _with_pieces(library: Any, pieces: dict[str, int], lowercase: bool) -> Any:
    made = _cutter(library, lowercase=lowercase)
    made.model = library.models.WordPiece(pieces, unk_token=UNKNOWN, max_input_chars_per_word=LONGEST_WORD)
    made.add_special_tokens([name for name in SPECIAL if name in pieces])
    return made
