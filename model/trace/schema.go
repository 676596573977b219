package trace

import (
	"math"
	"slices"
	"strings"
	"time"
)

// scorePrefix starts the names of the score columns of the document table.
const scorePrefix = "score."

// spec describes one column: its name, its type in the rows digest, and
// whether the format allows null.
type spec struct {
	name, typ string
	null      bool
}

// The columns of the token table, in schema order.
var tokenColumns = []spec{
	{"doc", "i32", false}, {"pos", "i32", false}, {"window", "i32", true}, {"id", "i32", true},
	{"byte_off", "i64", true}, {"byte_len", "i32", true}, {"scored", "u8", false}, {"ctx", "i32", true},
	{"logprob", "f32", true}, {"entropy", "f32", true}, {"sd", "f32", true}, {"rank", "i32", true},
	{"argmax_id", "i32", true}, {"argmax_logprob", "f32", true},
}

// The optional columns of the token table.
var momentColumns = []spec{{"umean", "f32", true}, {"usd", "f32", true}}
var topColumns = []spec{{"top_id", "list<i32>", true}, {"top_logprob", "list<f32>", true}}

// The columns of the document table, in schema order; score columns follow.
var docColumns = []spec{
	{"doc", "i32", false}, {"doc_id", "str", false}, {"status", "str", false}, {"sha256", "b32", false}, {"context_sha256", "b32", true},
	{"n_bytes", "i64", true}, {"n_chars", "i64", true}, {"n_words", "i64", true}, {"n_pieces", "i64", true}, {"zlib_bytes", "i64", true},
	{"n_tokens", "i32", false}, {"n_context", "i32", false}, {"n_scored", "i32", false}, {"n_windows", "i32", false},
	{"sum_logprob", "f64", false}, {"sum_logprob2", "f64", false}, {"sum_entropy", "f64", false}, {"n_greedy", "i32", false},
	{"label", "i32", true}, {"group", "str", true}, {"date", "i32", true}, {"meta", "str", true},
}

// columns returns the token columns and document columns that o asks for.
func (o Options) columns() (tokens, docs []spec) {
	tokens, docs = slices.Clone(tokenColumns), slices.Clone(docColumns)
	if o.Moments {
		tokens = append(tokens, momentColumns...)
	}
	if o.TopK > 0 {
		tokens = append(tokens, topColumns...)
	}
	for _, s := range o.Scores {
		docs = append(docs, spec{scorePrefix + s, "f64", true})
	}
	return tokens, docs
}

// optional names the optional columns, as the header lists them.
func (o Options) optional() []string {
	tokens, docs := o.columns()
	var names []string
	for _, c := range slices.Concat(tokens[len(tokenColumns):], docs[len(docColumns):]) {
		names = append(names, c.name)
	}
	return names
}

// optionsOf is the inverse of optional: what a header's columns ask for.
func optionsOf(h Header) Options {
	o := Options{Redact: h.Redacted}
	for _, c := range h.Columns {
		switch {
		case c == "umean" || c == "usd":
			o.Moments = true
		case c == "top_id" || c == "top_logprob":
			o.TopK = 1
		case strings.HasPrefix(c, scorePrefix):
			o.Scores = append(o.Scores, strings.TrimPrefix(c, scorePrefix))
		}
	}
	return o
}

// score returns a score of a document, NaN when it has none.
func score(d *Doc, name string) float64 {
	if v, ok := d.Scores[name]; ok {
		return v
	}
	return math.NaN()
}

// days counts from 1970-01-01.
func days(t time.Time) int32 {
	t = t.UTC()
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	return int32(math.Floor(float64(day.Unix()) / 86400))
}

func dateOf(days int32) time.Time { return time.Unix(int64(days)*86400, 0).UTC() }
