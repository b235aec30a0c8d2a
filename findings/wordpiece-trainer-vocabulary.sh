#!/usr/bin/env bash
# tokenizers 0.23.3: `WordPieceTrainer` gives another vocabulary each time it is trained on the same reports, in one
# process or in several, with one thread or with many: other numbers for the same pieces, and other pieces.
#
# Training counts words and joins what stands together most often; nothing in it is random, and there is no seed. But
# pairs that are equally often are joined in the order of a hash table, and letters get their numbers in that order, which
# changes from run to run. A network that begins from the same seed then begins otherwise, and weights saved beside one
# vocabulary do not fit the next.
#
# By hand: in "aab aac" the pairs (a, ##a), (##a, ##b) and (##a, ##c) come 2, 1 and 1 times: after the first join, two
# pairs are tied, and a vocabulary with room for one more holds either "aab" or "aac".
#
# Seen (Python 3.11, tokenizers 0.23.3, six trainings on twelve short findings):
#   the same numbers in all six: no
#   different sets of pieces: more than one
#   with RAYON_NUM_THREADS=1: no
#
# What helps: keep the trained file beside the weights; or make the vocabulary yourself, from words sorted by count and
# then by letters, and hand it to `models.WordPiece`, as scanweave does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-compile tokenizers==0.23.3
cat > "$folder/train.py" <<'PYTHON'
import json

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

REPORTS = [
    f"{finding} in the {side} {place}."
    for finding in ("Consolidation", "Nodular opacity")
    for side in ("right", "left")
    for place in ("upper lobe", "lower lobe", "costophrenic angle")
]
made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
made.normalizer = normalizers.BertNormalizer(lowercase=True)
made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
made.train_from_iterator(REPORTS, trainers.WordPieceTrainer(vocab_size=70, special_tokens=["[UNK]"], show_progress=False))
print(json.dumps(sorted(made.get_vocab().items(), key=lambda item: item[1])))
PYTHON
for threads in many 1; do
    for run in 1 2 3 4 5 6; do
        if [ "$threads" = 1 ]; then export RAYON_NUM_THREADS=1; fi
        "$folder/bin/python" -I "$folder/train.py" >> "$folder/$threads.txt"
    done
done
"$folder/bin/python" -I - "$folder" <<'PYTHON'
import json
import sys
from pathlib import Path

numbered, sets = {}, {}
for threads in ("many", "1"):
    lines = Path(sys.argv[1], f"{threads}.txt").read_text().splitlines()
    numbered[threads] = len(set(lines))
    sets[threads] = len({tuple(sorted(piece for piece, _ in json.loads(line))) for line in lines})
print(f"the same numbers in all six: {'yes' if numbered['many'] == 1 else 'no'}")
print(f"different sets of pieces: {'more than one' if sets['many'] > 1 else 'one'}")
print(f"with RAYON_NUM_THREADS=1: {'yes' if numbered['1'] == 1 else 'no'}")
if numbered["many"] == 1 or numbered["1"] == 1 or sets["many"] == 1:
    sys.exit("the behaviour changed")
PYTHON
