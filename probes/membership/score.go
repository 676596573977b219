package membership

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/model/trace"
)

// Score is one membership score. Eval returns the published form of the number
// and its direction (+1: larger means likelier a member, -1: smaller); the
// printed score is raw times direction. status is empty, or the reason why the
// score is undefined for this document; then raw is NaN.
type Score interface {
	Name() string
	Needs() Needs
	Eval(in *Item) (raw float64, dir int, status string)
}

// Info describes a family of scores for help texts.
type Info struct {
	Name    string // with its parameters, e.g. mink:k
	Formula string // of the printed score
	Needs   Needs
	Source  string
	Note    string // what others compute under the same name
	Wave    string // must, should, could
}

// fn is a score made of one function.
type fn struct {
	name  string
	needs Needs
	eval  func(in *Item) (raw float64, dir int, status string)
}

func (f fn) Name() string { return f.name }
func (f fn) Needs() Needs { return f.needs }

func (f fn) Eval(in *Item) (float64, int, string) {
	// Compact mode: a value computed while scoring stands in for the rows.
	if v, ok := in.Doc.Scores[f.name]; ok && in.Tok.Logprob == nil {
		if math.IsNaN(v) {
			return v, 1, "undefined when it was scored"
		}
		return v, 1, ""
	}
	if in.Doc.Scored == 0 {
		return math.NaN(), 1, reasonOf(in.Doc)
	}
	raw, dir, status := f.eval(in)
	if status == "" && (math.IsNaN(raw) || math.IsInf(raw, 0)) {
		status = "not a finite number"
	}
	if status != "" {
		raw = math.NaN()
	}
	return raw, dir, status
}

func reasonOf(d trace.Doc) string {
	if d.Status != "" && d.Status != trace.StatusOK {
		return d.Status
	}
	return trace.StatusNoTargets
}

// family builds a score from the text behind the first colon.
type family struct {
	Info
	build func(name string, arg []string) (fn, error)
}

// Scores lists every family, in the order of the help page.
func Scores() []Info {
	var out []Info
	for _, f := range families() {
		out = append(out, f.Info)
	}
	return out
}

// Must are the scores computed when none are named.
const Must = "loss,zlib,ref,mink:0.2,minkpp:0.2,lower,recall,rank,logrank"

// Parse reads a list such as "loss,mink:0.2,ref:bits". Names are made canonical:
// mink:.20 becomes mink:0.2. Unknown names and parameters out of range are usage
// errors that name the nearest family.
func Parse(list string) ([]Score, error) {
	var out []Score
	seen := make(map[string]bool)
	for word := range strings.SplitSeq(list, ",") {
		word = strings.TrimSpace(word)
		if word == "" {
			return nil, fault.Usagef("membership: scores: found an empty name in %q", list)
		}
		name, refNo, err := cutReference(word)
		if err != nil {
			return nil, err
		}
		parts := strings.Split(name, ":")
		i := slices.IndexFunc(families(), func(f family) bool { return strings.Split(f.Name, ":")[0] == parts[0] })
		if i < 0 {
			return nil, fault.Usagef("membership: scores: found %q, want one of %s", word, strings.Join(familyNames(), ", "))
		}
		s, err := families()[i].build(parts[0], parts[1:])
		if err != nil {
			return nil, err
		}
		if refNo > 1 {
			if s.needs&(NeedRef|NeedRefRows) == 0 {
				return nil, fault.Usagef("membership: score %q: found reference %d, but it uses none", word, refNo)
			}
			s = s.withReference(refNo)
		}
		if seen[s.name] {
			return nil, fault.Usagef("membership: scores: found %q twice", s.name)
		}
		seen[s.name] = true
		out = append(out, s)
	}
	return out, nil
}

func familyNames() (names []string) {
	for _, f := range families() {
		names = append(names, f.Name)
	}
	return names
}

// cutReference splits "ref:bits@2" into name and number of the reference.
func cutReference(word string) (name string, n int, err error) {
	name, at, ok := strings.Cut(word, "@")
	if !ok {
		return name, 1, nil
	}
	if n, err = strconv.Atoi(at); err != nil || n < 1 {
		return "", 0, fault.Usagef("membership: score %q: found reference %q, want a number from 1", word, at)
	}
	return name, n, nil
}

// withReference makes the score look at reference n (from 1) instead of the first.
func (f fn) withReference(n int) fn {
	inner := f.eval
	f.name = fmt.Sprintf("%s@%d", f.name, n)
	f.eval = func(in *Item) (float64, int, string) {
		if len(in.Ref) < n {
			return math.NaN(), 1, "reference missing"
		}
		other := *in
		other.Ref = in.Ref[n-1:]
		return inner(&other)
	}
	return f
}

func plainOnly(name string, arg []string, want ...string) error {
	if len(arg) == 0 || len(arg) == 1 && slices.Contains(want, arg[0]) {
		return nil
	}
	return fault.Usagef("membership: score %s: found parameter %q, want one of %q", name, strings.Join(arg, ":"), want)
}

// portion reads k in (0, 1].
func portion(name, arg string) (float64, error) {
	k, err := strconv.ParseFloat(arg, 64)
	if err != nil || !(k > 0 && k <= 1) {
		return 0, fault.Usagef("membership: score %s: found k = %q, want a number in (0, 1]", name, arg)
	}
	return k, nil
}

func canonicalName(name string, k float64, more ...string) string {
	return strings.Join(append(append([]string{name}, more...), strconv.FormatFloat(k, 'g', -1, 64)), ":")
}
