package weat

import (
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
)

func TestReaders(t *testing.T) {
	words, values, err := ReadProperty(strings.NewReader("word,value\nnurse,90.5\n\"ice, cream\",2\n"), "p.csv")
	if err != nil || !slices.Equal(words, []string{"nurse", "ice, cream"}) || !slices.Equal(values, []float64{90.5, 2}) {
		t.Errorf("%v %v %v", words, values, err)
	}
	freq, err := ReadFreq(strings.NewReader("rose 10\nice cream\t2.5\r\n\nlast 1"), "f.txt")
	if err != nil || len(freq) != 3 || freq["ice cream"] != 2.5 || freq["last"] != 1 {
		t.Errorf("%v %v", freq, err)
	}
	ts, err := ReadTemplates(strings.NewReader("the {w}\n\n a {w} \n"), "t.txt")
	if err != nil || !slices.Equal(ts, []string{"the {w}", "a {w}"}) {
		t.Errorf("%q %v", ts, err)
	}
	cs, err := ReadContexts(strings.NewReader(`{"word":"rose","prompt":"I saw a "}`), "c.jsonl")
	if err != nil || len(cs) != 1 || cs[0] != (Context{"rose", "I saw a", " rose"}) {
		t.Errorf("%v %v", cs, err)
	}
	for name, f := range map[string]func() error{
		"bad-property":  func() error { _, _, err := ReadProperty(strings.NewReader("word,value\na,x\n"), "f"); return err },
		"bad-property ": func() error { _, _, err := ReadProperty(strings.NewReader("word,value\na,1\na,2\n"), "f"); return err },
		"bad-freq":      func() error { _, err := ReadFreq(strings.NewReader("rose\n"), "f"); return err },
		"bad-freq ":     func() error { _, err := ReadFreq(strings.NewReader("rose 0\n"), "f"); return err },
		"bad-freq  ":    func() error { _, err := ReadFreq(strings.NewReader("rose 1\nrose 2\n"), "f"); return err },
		"bad-template":  func() error { _, err := ReadContexts(strings.NewReader(`{"word":"a"}`), "f"); return err },
	} {
		if e := fault.As(f()); e == nil || e.Class != fault.Input || e.Code != strings.TrimSpace(name) {
			t.Errorf("%s: %v", name, f())
		}
	}
}
