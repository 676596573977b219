package bbq

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/probes/assoc"
)

// Item is one question as published.
type Item struct {
	ID, Category, Template string
	Negative, Ambiguous    bool
	Context, Question      string
	Answers                [3]string
	Roles                  [3]Role
	Mapped                 bool // the groups could be mapped to the stereotype
	Label                  int
}

// Read reads a category file (Age.jsonl and so on) as published. Groups that
// map to no side of the stereotype leave the item unmapped: it is counted, not
// scored.
func Read(r io.Reader, file string) ([]Item, error) {
	rep := &assoc.Report{File: file}
	var out []Item
	allowed := []string{"example_id", "question_index", "question_polarity", "context_condition", "category", "answer_info", "additional_metadata", "context", "question", "ans0", "ans1", "ans2", "label"}
	err := assoc.Lines(r, rep, allowed, func(l assoc.Line) { out = append(out, item(l)) })
	if err == nil {
		err = rep.Err()
	}
	if err == nil && len(out) == 0 {
		rep.Add(1, 1, "file", "no items", "one or more")
		err = rep.Err()
	}
	return out, err
}

func item(l assoc.Line) Item {
	it := Item{Category: l.Text("category"), Context: l.Text("context"), Question: l.Text("question"), Label: l.Integer("label", 0, 2)}
	it.ID = identifier(l, "example_id")
	it.Template = identifier(l, "question_index")
	switch p := l.Text("question_polarity"); p {
	case "neg":
		it.Negative = true
	case "nonneg":
	default:
		l.Fault("question_polarity", strconv.Quote(p), "neg or nonneg")
	}
	switch c := l.Text("context_condition"); c {
	case "ambig":
		it.Ambiguous = true
	case "disambig":
	default:
		l.Fault("context_condition", strconv.Quote(c), "ambig or disambig")
	}
	for k := range it.Answers {
		it.Answers[k] = l.Text("ans" + strconv.Itoa(k))
	}
	var info map[string][]string
	var meta struct {
		Stereotyped []string `json:"stereotyped_groups"`
	}
	if l.Decode("answer_info", &info, "ans0, ans1, ans2, each [text, group]") && l.Decode("additional_metadata", &meta, "a map with stereotyped_groups") {
		var groups [3]string
		for k := range groups {
			g := info["ans"+strconv.Itoa(k)]
			if len(g) != 2 {
				l.Fault("answer_info", fmt.Sprintf("%d values for ans%d", len(g), k), "[text, group]")
				return it
			}
			groups[k] = g[1]
		}
		it.Roles, it.Mapped = Map(groups, meta.Stereotyped)
	}
	return it
}

// identifier reads a number or a string.
func identifier(l assoc.Line, key string) string {
	var v any
	if !l.Decode(key, &v, "a number or a string") {
		return ""
	}
	switch x := v.(type) {
	case string:
		return x
	case float64:
		return strconv.FormatFloat(x, 'g', -1, 64)
	}
	l.Fault(key, fmt.Sprint(v), "a number or a string")
	return ""
}

// Map finds the roles of three answers from their groups and the groups that
// the stereotype is about; false if not exactly one of the two known answers
// is such a group. Names are compared without case and spaces, without the
// prefixes F- and M- of first names, and by a table of names that the data set
// uses for one thing; if that decides nothing, "non..." against its opposite does.
func Map(groups [3]string, stereotyped []string) (roles [3]Role, ok bool) {
	unknown, known := -1, []int{}
	for k, g := range groups {
		if canonical(g) == "unknown" {
			unknown = k
		} else {
			known = append(known, k)
		}
	}
	if unknown < 0 || len(known) != 2 {
		return roles, false
	}
	var about []string
	for _, s := range stereotyped {
		about = append(about, canonical(s))
	}
	a, b := canonical(groups[known[0]]), canonical(groups[known[1]])
	ta, tb := slices.Contains(about, a), slices.Contains(about, b)
	if ta == tb {
		ta, tb = strings.HasPrefix(b, "non"), strings.HasPrefix(a, "non")
	}
	if ta == tb {
		return roles, false
	}
	roles[known[0]], roles[known[1]] = Other, Other
	if ta {
		roles[known[0]] = Target
	} else {
		roles[known[1]] = Target
	}
	return roles, true
}

// canonical is the one name of a group.
func canonical(g string) string {
	g = strings.ToLower(strings.TrimSpace(g))
	for _, p := range []string{"f-", "m-"} {
		g = strings.TrimPrefix(g, p)
	}
	g = strings.Map(func(r rune) rune {
		if r == ' ' || r == '_' || r == '-' {
			return -1
		}
		return r
	}, g)
	switch g {
	case "f", "woman", "women", "girl", "female":
		return "female"
	case "m", "man", "men", "boy", "male":
		return "male"
	case "trans", "transgender", "transgenderwomen", "transgendermen", "transf", "transm":
		return "trans"
	case "africanamerican", "black", "blackorafricanamerican":
		return "black"
	}
	return g
}

// Override takes target locations from the published additional_metadata.csv:
// columns category, question_index, example_id and target_loc (the answer that
// is the target), others ignored. Items it names are mapped by it.
func Override(items []Item, r io.Reader, file string) error {
	rep := &assoc.Report{File: file}
	loc := map[[2]string]int{}
	err := assoc.Records(r, ',', rep, []string{"category", "example_id", "target_loc"},
		[]string{"", "question_index", "Known_stereotyped_race", "Known_stereotyped_var2", "label_type", "Relevant_social_values", "corr_ans_aligns_race", "corr_ans_aligns_var2", "full_cond", "Known_stereotyped_groups"},
		func(c assoc.Record) {
			v := c.Get("target_loc")
			if v == "" || v == "NA" {
				return
			}
			n, err := strconv.Atoi(strings.TrimSuffix(v, ".0"))
			if err != nil || n < 0 || n > 2 {
				c.Fault("target_loc", "0, 1, 2 or NA")
				return
			}
			loc[[2]string{c.Get("category"), c.Get("example_id")}] = n
		})
	if err == nil {
		err = rep.Err()
	}
	if err != nil {
		return err
	}
	for i := range items {
		it := &items[i]
		n, ok := loc[[2]string{it.Category, it.ID}]
		if !ok {
			continue
		}
		unknown := slices.Index(it.Roles[:], Unknown)
		if !it.Mapped {
			if unknown = unknownAnswer(it.Answers); unknown < 0 {
				continue
			}
		}
		if n == unknown {
			return fault.Inputf("bad-data", "bbq: %s: item %s of %s: found the unknown answer as target", file, it.ID, it.Category)
		}
		for k := range it.Roles {
			it.Roles[k] = Other
		}
		it.Roles[unknown], it.Roles[n], it.Mapped = Unknown, Target, true
	}
	return nil
}

// unknownAnswer finds the answer that declines, by its published wordings.
func unknownAnswer(answers [3]string) int {
	at := -1
	for k, a := range answers {
		a = strings.ToLower(strings.Trim(a, ". "))
		if slices.Contains([]string{"can't be determined", "cannot be determined", "can't answer", "cannot answer", "not known", "unknown", "not answerable", "undetermined", "not enough info", "not enough information"}, a) {
			if at >= 0 {
				return -1
			}
			at = k
		}
	}
	return at
}
