"""Makes detokenize.json: inputs and outputs of the wikitext rules by Python's re. Python 3.11, no packages.

The function states again, in our words, what lm_eval/tasks/wikitext/preprocess_wikitext.py does (read at 244246f).
usage: detokenize.py > detokenize.json
"""
import json, re
PAIRS = [("s '", "s'"), None, (' @-@ ', '-'), (' @,@ ', ','), (' @.@ ', '.')] + [(f' {c} ', f'{c} ') for c in ':;.!?,']
BRACKETS = [(r'\(\s*([^\)]*?)\s*\)', r'(\1)'), (r'\[\s*([^\]]*?)\s*\]', r'[\1]'), (r'{\s*([^}]*?)\s*}', r'{\1}'),
            (r'\"\s*([^\"]*?)\s*\"', r'"\1"'), (r"'\s*([^']*?)\s*'", r"'\1'")]
REST = [('= = = =', '===='), ('= = =', '==='), ('= =', '=='), (' \u00b0 ', '\u00b0'), (' \n', '\n'), ('\n ', '\n'), (' N ', ' 1 '), (" 's", "'s")]
def detokenize(s):
    for p in PAIRS:
        s = s.replace(*p) if p else re.sub(r"/' [0-9]/", r"/'[0-9]/", s)
    for pat, to in BRACKETS:
        s = re.sub(pat, to, s)
    for p in REST:
        s = s.replace(*p)
    return s
IN = [
    ' = Robert Boulter = \n \n Robert Boulter is an English film , television and theatre actor . He had a guest @-@ starring role on " The Bill " in 2000 ; this was followed by 1 @,@ 000 more ( in 2001 ) . \n \n = = Career = = \n \n = = = 2000 – 2005 = = = \n',
    "the dogs ' tails weren 't seen , N times at 30 \u00b0 C ! [ sic ] { x } ' quoted ' text 's end",
    "the players ' 80s /' 5/ a : b ? yes . \u00a0 ( \u3000 wide \u00a0 ) \" \u2003 em \" ' a\x1cb '",
    '', ' ', '"odd', "'a' 'b '", '= = = = deep = = = =', '( a ( b ) c )', '( a\n b ) "x\ny "', ' . . . ', " 's's 's", '\n \n \n',
]
print(json.dumps([{'in': s, 'out': detokenize(s)} for s in IN], indent=1))
