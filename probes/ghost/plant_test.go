package ghost

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
)

func corpus(n int) []Doc {
	docs := make([]Doc, n)
	for i := range docs {
		var b strings.Builder
		for p := range 10 {
			fmt.Fprintf(&b, "Paragraph %d of text %d stands here\nwith a second line żółć.\n\n", p, i)
		}
		docs[i] = Doc{ID: fmt.Sprintf("d%02d", i), Owner: []string{"ann", "bo"}[i%2], Text: strings.TrimSuffix(b.String(), "\n\n")}
	}
	return docs
}

func TestPlant(t *testing.T) {
	s := newSet(t, 4, 9, 10, nil)
	docs := corpus(40)
	for _, unit := range []string{"paragraph", "line", "comment"} {
		p := DefaultPlace()
		p.Unit, p.Wrappers = unit, []string{"{secret}", "Sealed: {secret}", "So {secret} ends."}
		out, rec, err := Plant(s, docs, p)
		if err != nil {
			t.Fatal(err)
		}
		if len(rec) != 32 {
			t.Fatalf("%s: %d plantings, want 4 x 8", unit, len(rec))
		}
		if err := CheckPlants(s, out, rec); err != nil {
			t.Error(err)
		}
		used := make(map[string]bool)
		for _, r := range rec {
			if used[r.DocID] {
				t.Errorf("%s: two secrets in %s", unit, r.DocID)
			}
			used[r.DocID] = true
			i := slices.IndexFunc(out, func(d Doc) bool { return d.ID == r.DocID })
			before, text := docs[i].Text, out[i].Text
			if r.ByteOff < len(before)/2 {
				t.Errorf("%s: %s planted at byte %d of %d, want the later half", unit, r.DocID, r.ByteOff, len(before))
			}
			if c := text[r.ByteOff-1]; c != '\n' && c != ' ' {
				t.Errorf("%s: byte before the secret is %q", unit, c)
			}
			// Taking the planted line out gives the document back.
			begin := strings.LastIndexByte(text[:r.ByteOff], '\n') + 1
			end := strings.IndexByte(text[r.ByteOff:], '\n') + r.ByteOff
			rest := strings.TrimRight(text[:begin], "\n") + "\n" + strings.TrimLeft(text[end:], "\n")
			squeeze := func(s string) string {
				return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' }), "\n")
			}
			if squeeze(rest) != squeeze(before) {
				t.Errorf("%s: %s changed beyond the planted line", unit, r.DocID)
			}
		}
		again, _, _ := Plant(s, docs, p)
		if !slices.Equal(again, out) {
			t.Errorf("%s: planting twice differs", unit)
		}
	}
}

func TestPlantRefuses(t *testing.T) {
	s := newSet(t, 4, 9, 10, nil)
	place := func(edit func(*Place)) Place { p := DefaultPlace(); edit(&p); return p }
	for name, c := range map[string]struct {
		docs  []Doc
		place Place
		class fault.Class
	}{
		"too few documents": {corpus(20), DefaultPlace(), fault.Input},
		"one line":          {[]Doc{{ID: "a", Text: "x"}, {ID: "b", Text: "y"}, {ID: "c", Text: "z"}, {ID: "d", Text: "w"}}, place(func(p *Place) { p.Repeat, p.To, p.From = 1, .4, .2 }), fault.Input},
		"same id":           {append(corpus(40), corpus(1)...), DefaultPlace(), fault.Input},
		"repeat":            {corpus(40), place(func(p *Place) { p.Repeat = 0 }), fault.Usage},
		"where":             {corpus(40), place(func(p *Place) { p.From = 1 }), fault.Usage},
		"unit":              {corpus(40), place(func(p *Place) { p.Unit = "page" }), fault.Usage},
		"wrapper":           {corpus(40), place(func(p *Place) { p.Wrappers = []string{"none"} }), fault.Usage},
	} {
		if _, _, err := Plant(s, c.docs, c.place); fault.As(err) == nil || fault.As(err).Class != c.class {
			t.Errorf("%s: error %v, want class %d", name, err, c.class)
		}
	}
}

func TestCheckPlantsFinds(t *testing.T) {
	s := newSet(t, 2, 9, 10, nil)
	out, rec, err := Plant(s, corpus(40), DefaultPlace())
	if err != nil {
		t.Fatal(err)
	}
	at := func(r Planting) int {
		return slices.IndexFunc(out, func(d Doc) bool { return d.ID == r.DocID })
	}
	for name, edit := range map[string]func(docs []Doc, rec []Planting){
		"moved": func(_ []Doc, r []Planting) { r[3].ByteOff++ },
		"edited": func(d []Doc, r []Planting) {
			i := at(r[0])
			d[i].Text = strings.Replace(d[i].Text, " text ", " test ", 1)
		},
		"lost":        func(_ []Doc, r []Planting) { r[0].DocID = "nowhere" },
		"past end":    func(_ []Doc, r []Planting) { r[0].ByteOff = 1 << 40 },
		"two owners":  func(d []Doc, r []Planting) { d[at(r[1])].Owner = "eve" },
		"two secrets": func(_ []Doc, r []Planting) { r[0].Secret = 1 },
	} {
		docs, rs := slices.Clone(out), slices.Clone(rec)
		edit(docs, rs)
		if err := CheckPlants(s, docs, rs); fault.As(err) == nil || fault.As(err).Class != fault.Input {
			t.Errorf("%s: error %v, want an input fault", name, err)
		}
	}
}

func TestSurviveAndLeaks(t *testing.T) {
	s := newSet(t, 2, 9, 10, nil)
	out, rec, err := Plant(s, corpus(40), DefaultPlace()) // one wrapper: every copy is one identical line
	if err != nil {
		t.Fatal(err)
	}
	nats := make(map[string]float64)
	for i, d := range out {
		nats[d.ID] = float64(i)
	}
	sv, err := Survive(out, rec, nats, .9)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range sv {
		if !x.LineDuplicate {
			t.Errorf("%s: identical lines survive line deduplication", x.DocID)
		}
		if x.Outlier != (x.Perplexity > .9) {
			t.Errorf("%s: filter %v at rank %v", x.DocID, x.Outlier, x.Perplexity)
		}
	}
	p := DefaultPlace()
	p.Repeat, p.Wrappers = 3, []string{"{secret}", "First {secret}", "{secret} last"}
	out, rec, _ = Plant(s, corpus(40), p)
	if sv, _ = Survive(out, rec, nil, 0); sv[0].LineDuplicate {
		t.Error("varied wrappers: line deduplication still removes a copy")
	}
	if l := Leaks(s, out, rec); len(l) != 0 {
		t.Errorf("clean corpus: leaks %v", l)
	}
	j := (s.Index(1) + 1) % 10
	out[0].Text += "\nand " + s.Candidate(1, j) + "."
	if l := Leaks(s, out, rec); !slices.Equal(l, []Ref{{1, j}}) {
		t.Errorf("leaks %v, want candidate %d of secret 1", l, j)
	}
}

func TestTrapPool(t *testing.T) {
	texts := []TrapText{
		{"a", []int32{1, 2, 3, 4}, 25}, {"near a", []int32{1, 2, 3, 9}, 26}, {"b", []int32{5, 6, 7, 8}, 29},
		{"short", []int32{1, 2}, 25}, {"likely", []int32{11, 12, 13, 14}, 12},
	}
	// By hand: |{1,2,3}| / 5 = .6 is not above .6; above .5 it is.
	pool, drops, err := TrapPool(texts, TrapOptions{Tokens: 4, Lo: 20, Hi: 30, Jaccard: .5})
	if err != nil || !slices.Equal(pool, []string{"a", "b"}) || drops != (TrapDrops{1, 1, 1}) {
		t.Errorf("pool %v, drops %+v, %v", pool, drops, err)
	}
	if pool, _, _ = TrapPool(texts, TrapOptions{Tokens: 4, Lo: 20, Hi: 30, Jaccard: .6}); len(pool) != 3 {
		t.Errorf("pool %v, want three at overlap .6", pool)
	}
	if _, _, err := TrapPool(texts, TrapOptions{}); fault.As(err) == nil {
		t.Errorf("zero options: %v", err)
	}
}

func TestRecords(t *testing.T) {
	s := newSet(t, 2, 9, 10, nil)
	_, rec, err := Plant(s, corpus(40), DefaultPlace())
	if err != nil {
		t.Fatal(err)
	}
	b, err := WritePlants(rec)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := ReadPlants(strings.NewReader(string(b))); err != nil || !slices.Equal(back, rec) {
		t.Errorf("plants do not survive their file: %v", err)
	}
	for name, in := range map[string]string{
		"field": `{"secret":0,"doc":"x"}`, "two": `{"secret":0}{"secret":1}`, "cut": `{"secret":0`, "utf8": "{\"doc_id\":\"\xff\"}",
	} {
		if _, err := ReadPlants(strings.NewReader(in)); fault.As(err) == nil || fault.As(err).Class != fault.Input {
			t.Errorf("%s: %v, want an input fault", name, err)
		}
	}
	if _, _, err := ReadGens(strings.NewReader(`{"secret":0,"k":0,"text":""}`)); fault.As(err) == nil {
		t.Errorf("k 0: %v", err)
	}
}

func TestDocumentContexts(t *testing.T) {
	s := newSet(t, 2, 9, 10, func(p *Plan) { p.Wrappers, p.Attempts = []string{DocumentWrappers}, 3 })
	place := DefaultPlace()
	place.Repeat, place.Wrappers = 3, []string{"Sealed: {secret}"}
	docs, rec, err := Plant(s, corpus(40), place)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Test(s, nil, Evidence{Suspect: fake(s, genStream(1), 0)}, Options{}); fault.As(err) == nil || fault.As(err).Class != fault.Usage {
		t.Errorf("contexts missing: %v", err)
	}
	if err := s.UseDocuments(docs, rec); err != nil {
		t.Fatal(err)
	}
	n := 0
	for q := range Requests(s) {
		n++
		if !strings.HasSuffix(q.Context, "\nSealed:") || len(q.Context) > contextBytes || !strings.HasPrefix(q.Text, " ") || strings.HasPrefix(q.Context, "żółć.") && q.Context[0] == 0x82 {
			t.Fatalf("request %+v", q)
		}
	}
	if n != 2*10*3 {
		t.Errorf("%d requests, want 60", n)
	}
	if err := s.UseDocuments(docs, rec[:5]); fault.As(err) == nil || !strings.Contains(err.Error(), "secret 1") {
		t.Errorf("a copy is missing: %v", err)
	}
	if err := newSet(t, 2, 9, 10, nil).UseDocuments(docs, rec); fault.As(err) == nil || fault.As(err).Class != fault.Usage {
		t.Errorf("a plan with its own wrappers: %v", err)
	}
}
