package swap

import (
	"hash/fnv"
	"math"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/assoc"
)

func TestTemplates(t *testing.T) {
	ts, err := Templates()
	if err != nil || len(ts) != 65 {
		t.Fatalf("%d templates, %v; want 65", len(ts), err)
	}
	items, err := Fill(ts, []string{"White", "Asian"}, []string{"male", "female", "non-binary"})
	if err != nil || len(items) != 65*6 {
		t.Fatalf("%d items, %v", len(items), err)
	}
	for _, it := range items {
		if strings.ContainsAny(it.Text, "{}") || strings.Contains(it.Text, " a Asian") || strings.Contains(it.Text, "they has") || strings.Contains(it.Text, "they is ") {
			t.Errorf("question %s: %s", it.Question, it.Text)
		}
	}
}

func TestFill(t *testing.T) {
	tpl := Template{"3", "A {race} {gender} and an {race} friend. {Sub} {has} {pos} own {reflex}; {sub} {lives} with {obj}, a {age}-year-old."}
	for gender, want := range map[string]string{
		"female":     "An Asian female and an Asian friend. She has her own herself; she lives with her, a 70-year-old.",
		"non-binary": "An Asian non-binary and an Asian friend. They have their own themselves; they live with them, a 70-year-old.",
	} {
		it, err := tpl.Fill(map[string]string{"race": "Asian", "gender": gender}, 70)
		if err != nil || it.Text != want || it.Numbers["age"] != 70 {
			t.Errorf("%q, %v; want %q", it.Text, err, want)
		}
	}
	it, err := tpl.Fill(map[string]string{"race": "White", "gender": "male"}, 80)
	if err != nil || !strings.HasPrefix(it.Text, "A White male and a White friend. He has his own himself") || !strings.Contains(it.Text, "him, an 80-year-old") {
		t.Errorf("%q, %v", it.Text, err)
	}
	for name, bad := range map[string]Template{"unknown": {"1", "{race} {glows}"}, "open": {"1", "a {race"}} {
		if _, err := bad.Fill(map[string]string{"race": "White", "gender": "male"}, 0); fault.As(err) == nil || fault.As(err).Code != "bad-template" {
			t.Errorf("%s: %v, want bad-template", name, err)
		}
	}
	if _, err := tpl.Fill(map[string]string{"race": "White", "gender": "x"}, 0); err == nil {
		t.Error("unknown gender: no error")
	}
}

func TestReadFilled(t *testing.T) {
	good := `{"filled_template":"t","decision_question_id":0,"age":20.0,"gender":"male","race":"white"}` + "\n"
	items, err := ReadFilled(strings.NewReader(good), "e.jsonl")
	if err != nil || len(items) != 1 || items[0].Numbers["age"] != 20 {
		t.Fatalf("%v, %v", items, err)
	}
	_, err = ReadFilled(strings.NewReader(strings.Replace(good, `"race"`, `"rase"`, 1)), "e.jsonl")
	if err == nil || !strings.Contains(err.Error(), "e.jsonl:1:") || !strings.Contains(err.Error(), "rase") {
		t.Errorf("a renamed column: %v", err)
	}
}

// scripted answers with a margin by item text and a mass.
func scripted(t *testing.T, items []Item, o RunOptions, margin func(Item, Prompt) float64, mass float64) assoc.Map {
	t.Helper()
	ev := assoc.Map{}
	for _, p := range append(append([]Prompt{}, o.Prompts...), o.Mitigations...) {
		for _, it := range items {
			r := o.request(it, p)
			q := 1 / (1 + math.Exp(-margin(it, p)))
			var as []assoc.Answer
			for i, target := range r.Targets {
				pr := mass * q / 4
				if i >= 4 {
					pr = mass * (1 - q) / 4
				}
				h := fnv.New32()
				h.Write([]byte(target))
				as = append(as, assoc.Answer{Tokens: []assoc.Token{{ID: int32(h.Sum32() >> 1), LogProb: math.Log(pr)}}})
			}
			ev[r.ID()] = as
		}
	}
	return ev
}

func small(t *testing.T) ([]Item, RunOptions) {
	t.Helper()
	ts, err := Templates()
	if err != nil {
		t.Fatal(err)
	}
	items, err := Fill(ts[:12], []string{"White", "Black"}, []string{"male", "female"})
	if err != nil {
		t.Fatal(err)
	}
	o, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	o.Draws = 999
	return items, o
}

func find(t *testing.T, r probes.Result, name string) probes.Estimate {
	t.Helper()
	for _, e := range r.Estimates {
		if e.Name == name {
			return e
		}
	}
	t.Fatalf("no estimate %s", name)
	return probes.Estimate{}
}

func has(r probes.Result, code string) bool {
	for _, w := range r.Warnings {
		if w.Code == code {
			return true
		}
	}
	return false
}

func TestRunPlantedShift(t *testing.T) {
	items, o := small(t)
	rs, err := Plan(items, o)
	if err != nil || len(rs) != len(items)*6 {
		t.Fatalf("%d requests, %v; want items x 6 prompts", len(rs), err)
	}
	margin := func(it Item, p Prompt) float64 {
		y := float64(len(it.Question)) + float64(it.Question[0]%5)*.1
		if it.Levels["race"] == "Black" {
			y += .5 + .1*float64(it.Question[0]%3)
			if p.Name == "ignore" {
				y -= .25
			}
		}
		return y
	}
	ev := scripted(t, items, o, margin, .95)
	r, err := Run(items, o, ev)
	if err != nil {
		t.Fatal(err)
	}
	var want float64
	seen := map[string]bool{}
	for _, it := range items {
		if !seen[it.Question] {
			want += (.5 + .1*float64(it.Question[0]%3)) / 12
			seen[it.Question] = true
		}
	}
	near(t, "Black", *find(t, r, "Black").Value, want, 1e-9)
	near(t, "mass", *find(t, r, "mass").Value, .95, 1e-9)
	near(t, "ignore changes Black", *find(t, r, "Black_ignore").Value, -.25, 1e-9)
	if f := find(t, r, "female"); *f.Value != 0 || f.CI != nil {
		t.Errorf("female %v, want 0 without an interval", f)
	}
	if r.Verdict.Tier != probes.TierB || r.Verdict.Finding != "different" || len(r.P) != 2 {
		t.Errorf("%+v, %d p-values, %v", r.Verdict, len(r.P), r.Warnings)
	}
}

func TestScriptedModels(t *testing.T) {
	items, o := small(t)
	for name, c := range map[string]struct {
		margin func(Item, Prompt) float64
		mass   float64
		code   string
	}{
		"always yes": {func(Item, Prompt) float64 { return 9 }, .95, ""},
		"low mass":   {func(it Item, _ Prompt) float64 { return float64(len(it.Text) % 7) }, .3, "low-mass"},
		"prompt decides": {func(it Item, p Prompt) float64 {
			if it.Levels["race"] == "Black" == (p.Name == "default") {
				return 1 + float64(len(it.Question))*.1
			}
			return 0
		}, .95, "order-unstable"},
	} {
		r, err := Run(items, o, scripted(t, items, o, c.margin, c.mass))
		if err != nil {
			t.Fatal(name, err)
		}
		if r.Verdict.Tier != probes.TierC || len(r.P) != 0 || c.code != "" && !has(r, c.code) {
			t.Errorf("%s: tier %s, %d p-values, %v", name, r.Verdict.Tier, len(r.P), r.Warnings)
		}
	}
	o.Prompts = o.Prompts[:1]
	r, err := Run(items, o, scripted(t, items, o, func(it Item, _ Prompt) float64 { return float64(len(it.Text) % 7) }, .95))
	if err != nil || !has(r, "single-format") || r.Verdict.Tier != probes.TierC {
		t.Errorf("one prompt: %v, %v", r.Warnings, err)
	}
	if _, err := Run(items, o, assoc.Map{}); fault.As(err) == nil || fault.As(err).Code != "unanswered" {
		t.Errorf("no evidence: %v", err)
	}
}

func TestDecades(t *testing.T) {
	row := func(age, y float64) Row { return Row{Numbers: map[string]float64{"age": age}, Y: y} }
	d, m := Decades([]Row{row(20, 1), row(29, 3), row(100, 5), {Y: 9}})
	if len(d) != 2 || d[0] != 20 || d[1] != 100 || m[0] != 2 || m[1] != 5 {
		t.Errorf("%v %v", d, m)
	}
}
