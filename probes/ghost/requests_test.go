package ghost

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/internal/gen"
	"assay/probes"
)

// A generator's lines carry the ids of the prompts; other work in the file is
// counted, a prompt shows all but the last k words.
func TestRecallPrompts(t *testing.T) {
	s := newSet(t, 2, 9, 10, func(p *Plan) {
		p.Primary, p.RecallK, p.Attempts, p.Wrappers = ByRecall, []int{1, 3}, 2, []string{"", "My motto: "}
	})
	seq, err := RecallPrompts(s)
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	n := 0
	for q := range seq {
		id, ok := parseID('r', q.ID)
		if !ok {
			t.Fatalf("id %q", q.ID)
		}
		words := s.Symbols(id[0], s.Index(id[0]))
		want := strings.Join(words[:10-id[1]], " ")
		if id[2] == 1 {
			want = "My motto: " + want
		}
		if q.Context != want || q.Text != "" {
			t.Errorf("%s: prompt %q, want %q", q.ID, q.Context, want)
		}
		text := "no"
		if id[0] == 1 && id[1] == 3 {
			text = " " + strings.Join(words[7:], " ") + "."
		}
		lines.WriteString(`{"id":"` + q.ID + `","text":"` + strings.TrimSuffix(text, ".") + `","sample":0,"tokens":4}` + "\n")
		n++
	}
	if n != 2*2*2 {
		t.Errorf("%d prompts, want 8", n)
	}
	gens, skipped, err := ReadGens(strings.NewReader(lines.String() + `{"id":"other/1","text":"x"}` + "\n"))
	if err != nil || len(gens) != 8 || skipped != 1 {
		t.Fatalf("%d generations, %d skipped, %v", len(gens), skipped, err)
	}
	c, _ := s.Commit()
	out, err := Test(s, &c, Evidence{Suspect: fake(s, gen.New(1), 0), Gens: gens}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(out.Rows[1].Hits, []int{3}) || len(out.Rows[0].Hits) != 0 {
		t.Errorf("hits %v and %v, want none and [3]", out.Rows[0].Hits, out.Rows[1].Hits)
	}
	if _, _, err := ReadGens(strings.NewReader(`{"assay":{}}` + "\n" + lines.String())); fault.As(err) == nil || fault.As(err).Class != fault.Retry {
		t.Errorf("a file without its last line: %v", err)
	}
	if g, _, err := ReadGens(strings.NewReader(`{"assay":{}}` + "\n" + lines.String() + `{"end":{"records":8}}` + "\n")); err != nil || len(g) != 8 {
		t.Errorf("a file of generate: %d, %v", len(g), err)
	}
	for name, in := range map[string]string{"no text": `{"id":"r0/1/0"}`, "k 0": `{"id":"r0/0/0","text":""}`, "cut": `{"id":`} {
		if _, _, err := ReadGens(strings.NewReader(in)); fault.As(err) == nil || fault.As(err).Class != fault.Input {
			t.Errorf("%s: %v, want an input fault", name, err)
		}
	}
}

// Other wrappers than the planned ones are scored, named and cost the tier.
func TestOffPlanWrappers(t *testing.T) {
	s := newSet(t, 3, 19, 10, nil)
	c, _ := s.Commit()
	run, err := s.OffPlan([]string{"I said: ", "Note: "}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for q := range Requests(s) {
		n++
		if q.Context == "" {
			t.Fatalf("%s without its wrapper", q.ID)
		}
	}
	if n != 3*20*2 {
		t.Errorf("%d requests, want 120", n)
	}
	ref := fake(s, gen.New(5), 0)
	out, err := Test(s, &c, Evidence{Suspect: fake(s, gen.New(3), 0), Reference: &ref}, Options{Run: &run})
	if err != nil {
		t.Fatal(err)
	}
	if out.Result.Verdict.Tier == probes.TierA || !slices.Contains(codes(out.Result), "off-plan") {
		t.Errorf("tier %s, warnings %v", out.Result.Verdict.Tier, codes(out.Result))
	}
	if _, err := s.OffPlan(nil, nil, nil); fault.As(err) == nil {
		t.Error("no wrapper: no error")
	}
}

func TestOpeningFileAndBurning(t *testing.T) {
	s := newSet(t, 2, 6, 10, nil)
	c, _ := s.Commit()
	o, err := s.Open(1, 3, true)
	if err != nil {
		t.Fatal(err)
	}
	b, err := o.JSON()
	if err != nil {
		t.Fatal(err)
	}
	back, err := ReadOpening(bytes.NewReader(b))
	if err != nil || back.Check(c) != nil {
		t.Fatalf("%v, %v", err, back.Check(c))
	}
	if _, err := ReadOpening(strings.NewReader(`{"schema":"assay.opening/2"}`)); fault.As(err) == nil {
		t.Error("another schema: no error")
	}
	s.Burn(Ref{1, 3})
	s.Burn(Ref{1, 3})
	if len(s.Burnt) != 1 {
		t.Errorf("burnt %v", s.Burnt)
	}
}

// The commitment that follows a nonce must be of the design published with it.
func TestContinues(t *testing.T) {
	spec := Spec{Kind: Passphrase, Words: 10, Secrets: 2, Controls: 9, List: syllables(t), Plan: DefaultPlan()}
	p, err := NewPending(seq(0x20), spec)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := p.Commit()
	s, err := p.Seed([]byte("a public value"))
	if err != nil {
		t.Fatal(err)
	}
	full, _ := s.Commit()
	if d := full.Continues(first); len(d) != 0 {
		t.Fatalf("differences %v", d)
	}
	for name, edit := range map[string]func(*Commitment){
		"controls": func(c *Commitment) { c.Controls++ }, "plan_sha256": func(c *Commitment) { c.PlanSHA256 = "00" },
		"source": func(c *Commitment) { c.Source = "os" }, "list_sha256": func(c *Commitment) { c.ListSHA256 = "" },
	} {
		bad := first
		edit(&bad)
		if d := full.Continues(bad); len(d) != 1 || d[0].Field != name {
			t.Errorf("%s: %v", name, d)
		}
	}
}
