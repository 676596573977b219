package perplexity

import (
	"regexp"
	"strings"
)

// Detokenize undoes the spacing of a WikiText page as the wikitext task of
// lm-evaluation-harness does, its quirks included: a rule written between
// slashes that matches only slashes, straight quotes paired from left to right.
// Its perplexities divide by the words and bytes of the page *before* this step:
// score the output, count the input (UnitsFrom).
func Detokenize(page string) string {
	for _, r := range detokenizer() {
		if r.re != nil {
			page = r.re.ReplaceAllString(page, r.to)
		} else {
			page = strings.ReplaceAll(page, r.from, r.to)
		}
	}
	return page
}

type rewrite struct {
	from string
	re   *regexp.Regexp
	to   string
}

// Python's \s on str: ASCII white space, U+001C..U+001F, U+0085 and the Unicode
// separators.
const space = `[\t-\r\x1c-\x1f\x{85}\p{Z}]`

func detokenizer() []rewrite {
	lit := func(from, to string) rewrite { return rewrite{from: from, to: to} }
	inner := func(open, class, closing, to string) rewrite {
		return rewrite{re: regexp.MustCompile(open + space + `*(` + class + `*?)` + space + `*` + closing), to: to}
	}
	return []rewrite{
		lit("s '", "s'"),
		{re: regexp.MustCompile(`/' [0-9]/`), to: "/'[0-9]/"},
		lit(" @-@ ", "-"), lit(" @,@ ", ","), lit(" @.@ ", "."),
		lit(" : ", ": "), lit(" ; ", "; "), lit(" . ", ". "), lit(" ! ", "! "), lit(" ? ", "? "), lit(" , ", ", "),
		inner(`\(`, `[^)]`, `\)`, "($1)"), inner(`\[`, `[^\]]`, `\]`, "[$1]"), inner(`\{`, `[^}]`, `\}`, "{$1}"),
		inner(`"`, `[^"]`, `"`, `"$1"`), inner(`'`, `[^']`, `'`, `'$1'`),
		lit("= = = =", "===="), lit("= = =", "==="), lit("= =", "=="),
		lit(" \u00b0 ", "\u00b0"), lit(" \n", "\n"), lit("\n ", "\n"), lit(" N ", " 1 "), lit(" 's", "'s"),
	}
}
