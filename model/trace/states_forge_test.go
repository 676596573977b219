package trace

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/internal/gen"
)

// raw makes a states file of a JSON header and data bytes.
func raw(header string, data int) []byte {
	header += strings.Repeat(" ", (8-len(header)%8)%8)
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

// Heads of files that overlap, leave gaps, disagree with type and shape, claim too
// much or are none: refused with the tensor, nothing allocated.
func TestStatesHeaders(t *testing.T) {
	meta := `"__metadata__":{"assay":"{}","content":""}`
	one := func(s string) string { return `{` + meta + `,` + s + `}` }
	for _, c := range []struct {
		name, says string
		b          []byte
	}{
		{"empty", "0 bytes", nil},
		{"long", "header of 1099511627776 bytes", binary.LittleEndian.AppendUint64(nil, 1<<40)},
		{"longer than int64", "header of", binary.LittleEndian.AppendUint64(nil, 1<<63+8)},
		{"past the end", "header of 100 bytes in a file of 10", append(binary.LittleEndian.AppendUint64(nil, 100), "{}"...)},
		{"unaligned", "multiple of 8", append(binary.LittleEndian.AppendUint64(nil, 3), "{} "...)},
		{"no JSON", "no JSON object", raw(`[1]`, 0)},
		{"two values", "more than one", raw(`{} {}`, 0)},
		{"gap", "want it at 8", raw(one(`"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"b":{"dtype":"F64","shape":[1],"data_offsets":[16,24]}`), 24)},
		{"overlap", "want it at 8", raw(one(`"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}`), 12)},
		{"first not at 0", "want it at 0", raw(one(`"a":{"dtype":"F64","shape":[1],"data_offsets":[8,16]}`), 16)},
		{"bytes behind", "tensors of 8 bytes in a data section of 16", raw(one(`"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}`), 16)},
		{"bytes missing", `tensor "a"`, raw(one(`"a":{"dtype":"F64","shape":[2],"data_offsets":[0,16]}`), 8)},
		{"misaligned", `tensor "b"`, raw(one(`"a":{"dtype":"I32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F64","shape":[1],"data_offsets":[4,12]}`), 12)},
		{"shape", `tensor "a": F64 [2] in [0, 8)`, raw(one(`"a":{"dtype":"F64","shape":[2],"data_offsets":[0,8]}`), 8)},
		{"overflow", `tensor "a"`, raw(one(`"a":{"dtype":"F64","shape":[4294967296,4294967296,2],"data_offsets":[0,0]}`), 0)},
		{"negative", `tensor "a"`, raw(one(`"a":{"dtype":"F64","shape":[-1],"data_offsets":[0,-8]}`), 0)},
		{"type", "want one of F64", raw(one(`"a":{"dtype":"F16","shape":[4],"data_offsets":[0,8]}`), 8)},
		{"name twice", "duplicate", raw(one(`"a":{"dtype":"F64","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"F64","shape":[0],"data_offsets":[0,0]}`), 0)},
		{"metadata", "metadata", raw(`{"__metadata__":{"assay":3}}`, 0)},
		{"no states", "want a states file", raw(`{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}`, 8)},
		{"schema", `schema "assay.states/2"`, raw(`{"__metadata__":{"assay":"{\"schema\":\"assay.states/2\",\"of\":{}}"}}`, 0)},
		{"no documents", "doc.label is missing", raw(`{"__metadata__":{"assay":"{\"schema\":\"assay.states/1\",\"of\":{}}"}}`, 0)},
	} {
		d := newMem()
		d.put("x", c.b)
		_, err := OpenStatesWith("x", StatesOptions{NoVerify: true, disk: d})
		if f := fault.As(err); f == nil || f.Class != fault.Input || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want an input fault that says %q", c.name, err, c.says)
		}
	}
}

// A header whose names, counts or parts were changed over the same data.
func TestStatesForgedHeader(t *testing.T) {
	s := testSet(20, PlanOptions{Cells: 4, Sample: 3, Keep: []int{4}, Seed: 1})
	d := newMem()
	s.write(t, d, "x", 0, 20, 1, gen.New(1))
	f := openTest(t, d, "x")
	content, l := f.s.content, f.layout()
	for _, c := range []struct {
		name, says string
		change     func(h *StatesHeader)
	}{
		{"label", "the documents give sha256:", func(h *StatesHeader) { h.Labels = []string{"unsafe", "safe"} }},
		{"stratum", "the documents give sha256:", func(h *StatesHeader) { h.Strata = []string{"topic 1", "topic 0", "topic 2"} }},
		{"counts", "the tensors give", func(h *StatesHeader) { h.Counts.Used++ }},
		{"zeros", "the tensors give", func(h *StatesHeader) { h.Counts.Zero++ }},
		{"labels gone", "doc.label of document", func(h *StatesHeader) { h.Labels = nil }},
		{"identity", "the identity gives", func(h *StatesHeader) { h.Of.Precision = "f16" }},
		{"shard", "cell.sum_lo", func(h *StatesHeader) { h.Parts = []Part{{Docs: [2]int64{0, 20}}} }},
		{"statistics", "which is no view's", func(h *StatesHeader) { h.Of.Plan.Stats = []string{"x"}; h.Run, _ = h.Of.RunDigest() }},
		{"keep", "rows.resid_post.mean.9", func(h *StatesHeader) { h.Of.Plan.Keep = []int{4, 9}; h.Run, _ = h.Of.RunDigest() }},
		{"views", "no view", func(h *StatesHeader) { h.Of.Views = nil; h.Run, _ = h.Of.RunDigest() }},
		{"directions", "directions", func(h *StatesHeader) { h.Of.Plan.Directions = -1; h.Run, _ = h.Of.RunDigest() }},
	} {
		h := f.Header()
		c.change(&h)
		head, err := l.header(h, content)
		if err != nil {
			t.Fatal(err)
		}
		d.put("y", append(head, d.files["x"].b[len(head):]...))
		_, err = OpenStatesWith("y", StatesOptions{disk: d})
		if e := fault.As(err); e == nil || e.Class != fault.Input || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want an input fault that says %q", c.name, err, c.says)
		}
	}
}

// Data that no writer makes, when the digest is not checked.
func TestStatesForgedData(t *testing.T) {
	s := testSet(20, PlanOptions{Cells: 4, Sample: 3, Seed: 1})
	d := newMem()
	s.write(t, d, "x", 0, 20, 1, gen.New(1))
	f := openTest(t, d, "x")
	for name, use := range map[string]func(s *States) error{
		"doc.id_offsets": func(*States) error { return nil },
		"doc.label":      func(*States) error { return nil },
		"doc.cell":       func(*States) error { return nil },
		"sample.doc":     func(*States) error { return nil },
		"tokens.offsets": func(s *States) error { _, err := s.TokenRows("resid_post", 9); return err },
		"lens.doc":       func(s *States) error { _, err := s.Lens(); return err },
		"cell.label":     func(s *States) error { _, err := s.Cells(0); return err },
	} {
		b := bytes.Clone(d.files["x"].b)
		at := f.s.data + f.s.tensors[name].off + 8
		copy(b[at:], []byte{0xf0, 0xff, 0xff, 0x7f})
		d.put("y", b)
		if _, err := OpenStatesWith("y", StatesOptions{disk: d}); err == nil || !strings.Contains(err.Error(), "content") {
			t.Errorf("%s: %v, want the digest", name, err)
		}
		y, err := OpenStatesWith("y", StatesOptions{NoVerify: true, disk: d})
		if err == nil {
			err = use(y)
		}
		if e := fault.As(err); e == nil || e.Class != fault.Input {
			t.Errorf("%s without the digest: %v, want an input fault", name, err)
		}
	}
}

// Saved sums that are damaged, or another shard's, are refused.
func TestStatesSavedSums(t *testing.T) {
	s := testSet(12, PlanOptions{Cells: 2, Seed: 1})
	d := newMem()
	w, err := createStates("x", s.plan(t, 0, 12), s.header(), StatesOptions{disk: d})
	if err == nil {
		err = s.add(w, 3)
	}
	if err == nil {
		err = w.Save()
	}
	if err != nil {
		t.Fatal(err)
	}
	sums := bytes.Clone(d.files["x.partial.sums"].b)
	for _, at := range []int{0, 20, 60, len(sums) / 2, len(sums) - 1} {
		b := bytes.Clone(sums)
		b[at] ^= 1
		d.put("x.partial.sums", b)
		if _, err := resumeStates("x", s.plan(t, 0, 12), s.header(), StatesOptions{disk: d}); fault.As(err) == nil || fault.As(err).Class != fault.Input || !strings.Contains(err.Error(), "digest does not hold") {
			t.Errorf("byte %d: %v", at, err)
		}
	}
	d.put("x.partial.sums", sums)
	w, err = resumeStates("x", s.plan(t, 0, 12), s.header(), StatesOptions{disk: d})
	if err != nil || !w.Has(3, 0) || w.Has(4, 0) {
		t.Errorf("resumed: %v", err)
	}
}

// Names of any length and kind fit the header, and the forecast counts them.
func TestStatesManyNames(t *testing.T) {
	docs := planDocs(1200, func(i int, d *DocInfo) {
		d.Label = strings.Repeat(fmt.Sprintf(`"<&%d\`, i%400), 20)
		d.Stratum = "s"
	})
	p, err := NewStatesPlan(docs, oneView(1, 0), PlanOptions{Cells: -1})
	if err != nil {
		t.Fatal(err)
	}
	d := newMem()
	w, err := createStates("x", p, StatesHeader{}, StatesOptions{disk: d})
	if err != nil {
		t.Fatal(err)
	}
	for i := range docs {
		if err := w.Add(i, 0, [][]float32{{1}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if file, _ := p.Bytes(); file != int64(len(d.files["x"].b)) {
		t.Errorf("%d bytes, forecast %d", len(d.files["x"].b), file)
	}
	f := openTest(t, d, "x")
	b, err := json.Marshal(f.Header().Labels)
	if err != nil || len(f.Header().Labels) != 400 || f.Header().Labels[0] != p.Labels[0] {
		t.Errorf("labels %.80s, %v", b, err)
	}
	if c, err := f.Cells(0); c != nil || err != nil {
		t.Errorf("cells of a file without: %v, %v", c, err)
	}
}

// Exactly 1024 cells pass, one more does not; pairs with a third document or one
// without a label do not.
func TestStatesPlanLimits(t *testing.T) {
	for n, want := range map[int]bool{1024: true, 1025: false} {
		docs := planDocs(n, func(i int, d *DocInfo) { d.ID, d.Label, d.Stratum = fmt.Sprintf("d%04d", i), "a", fmt.Sprint(i) })
		if _, err := NewStatesPlan(docs, oneView(1, 0), PlanOptions{}); (err == nil) != want {
			t.Errorf("%d cells: %v", n, err)
		}
	}
	for name, labels := range map[string][]string{"three": {"a", "a", "b"}, "none": {"a", ""}} {
		docs := planDocs(len(labels)+2, func(i int, d *DocInfo) {
			d.Label, d.Pair = append(labels, "a", "b")[i], []string{"p", "q"}[i/len(labels)]
		})
		if _, err := NewStatesPlan(docs[:len(labels)+2], oneView(1, 0), PlanOptions{}); fault.As(err) == nil || fault.As(err).Code != "bad-pair" {
			t.Errorf("%s: %v, want bad-pair", name, err)
		}
	}
}

// On the operating system's files: a second writer is refused while the first is
// open, a mapped file is read, and its name is free again when it is closed.
func TestStatesFiles(t *testing.T) {
	s := testSet(8, PlanOptions{Cells: 2, Sample: 2, Seed: 1})
	path := filepath.Join(t.TempDir(), "x.safetensors")
	w, err := CreateStates(path, s.plan(t, 0, 8), s.header())
	if err != nil {
		t.Fatal(err)
	}
	if out := otherProcess(t, path); runtime.GOOS != "windows" && !strings.Contains(out, "another process writes it") {
		t.Errorf("a second process: %s", out)
	}
	for i := range 8 {
		if err := s.add(w, i); err != nil {
			t.Fatal(err)
		}
		if i == 5 {
			if err := w.Abort(); err != nil {
				t.Fatal(err)
			}
			if err := w.Add(6, 0, nil); err == nil {
				t.Error("Add after Abort")
			}
			if w, err = ResumeStates(path, s.plan(t, 0, 8), s.header()); err != nil || !w.Has(5, 0) || w.Has(6, 0) {
				t.Fatalf("resume: %v", err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	d := newMem()
	s.write(t, d, "x", 0, 8, 1, gen.New(1))
	b, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(b, d.files["x"].b) {
		t.Errorf("the file on disk differs: %v", err)
	}
	f, err := OpenStates(path)
	if err != nil {
		t.Fatal(err)
	}
	m, ok := f.Rows(0, 1)
	if !ok || !f.Verified() || m.Row(2)[4] != s.layers[1][2][4] {
		t.Errorf("rows %v", ok)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	names, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(names) != 1 {
		t.Errorf("files left: %v, %v", names, err)
	}
}

// otherProcess tries to resume the file in a process of its own and returns what it
// says.
func otherProcess(t *testing.T, path string) string {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^TestStatesOtherProcess$", "-test.v")
	c.Env = append(os.Environ(), "ASSAY_TEST_STATES="+path)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestStatesOtherProcess(t *testing.T) {
	path := os.Getenv("ASSAY_TEST_STATES")
	if path == "" {
		t.Skip("only as a second process of TestStatesFiles")
	}
	s := testSet(8, PlanOptions{Cells: 2, Sample: 2, Seed: 1})
	_, err := ResumeStates(path, s.plan(t, 0, 8), s.header())
	t.Log(err)
}
