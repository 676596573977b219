"""Makes words.txt, the word list that ships with assay. Python 3.11, no packages.

usage: make_words.py ../../../testdata/demo/texts.json > ../words.txt
Source: chapters of the King James Bible and scenes of Shakespeare, both public
domain. Kept: words of 4 to 9 letters that occur at least twice, always found
in lower case, and are not the beginning of a longer word of the same kind (so
the list is prefix-free); then the 2,048 most frequent (ties by alphabet), less
a few words that nobody wants in their text. One word is 11 bits.
"""
import collections, json, re, sys
SKIP = set('''bastards bastardy whoring whorish whoredoms whoreson dildos geld slut sluttish bawds bawdy bawdry
adulterer adultery harlots foreskins concubine virgins virginity incest ravish ravished raped rape damned damnable
damnation hell dugs teats piss pisseth nakedness eunuchs circumcis slain murder murderers drunken drunkards'''.split())
texts = json.load(open(sys.argv[1]))
count = collections.Counter()
for part in texts.values():
    count.update(re.findall(r"(?<![\w'-])[a-z]{4,9}(?![\w'-])", '\n'.join(part)))
words = sorted(count)
free = [w for i, w in enumerate(words) if not (i + 1 < len(words) and words[i + 1].startswith(w))]
free = [w for w in free if count[w] > 1 and w not in SKIP]
best = sorted(free, key=lambda w: (-count[w], w))[:2048]
print('\n'.join(sorted(best)))
