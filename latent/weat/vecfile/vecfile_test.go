package vecfile

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"assay/internal/fault"
	"assay/latent/weat"
)

func set(words ...string) map[string]struct{} {
	m := map[string]struct{}{}
	for _, w := range words {
		m[w] = struct{}{}
	}
	return m
}

func zip(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

// table makes one set of float32 vectors in every format.
func table(words []string, dim int) map[string][]byte {
	var glove, bin bytes.Buffer // binary cannot hold the words with a space: they become a_b
	fmt.Fprintf(&bin, "%d %d\n", len(words), dim)
	for i, w := range words {
		glove.WriteString(w)
		bin.WriteString(underscore(w) + " ")
		for k := range dim {
			x := float32(math.Sin(float64(i*dim+k+1))) * float32(math.Exp2(float64(k%7-3)))
			fmt.Fprintf(&glove, " %.17g", float64(x))
			binary.Write(&bin, binary.LittleEndian, x)
		}
		glove.WriteByte('\n')
	}
	w2v := append(fmt.Appendf(nil, "%d %d\n", len(words), dim), glove.Bytes()...)
	withLF := bytes.Clone(bin.Bytes()[:0])
	rest := bin.Bytes()
	head := bytes.IndexByte(rest, '\n') + 1
	withLF = append(withLF, rest[:head]...)
	for _, w := range words { // the layout of the original tool: LF after each row
		n := len(w) + 1 + 4*dim
		withLF = append(append(withLF, rest[head:head+n]...), '\n')
		head += n
	}
	fast := bytes.ReplaceAll(w2v[bytes.IndexByte(w2v, '\n')+1:], []byte("\n"), []byte(" \n"))
	fast = append(fmt.Appendf(nil, "%d %d\n", len(words), dim), fast...)
	return map[string][]byte{"glove": glove.Bytes(), "w2v": w2v, "w2v-bin": bin.Bytes(), "w2v-bin with LF": withLF, "fastText": fast,
		"glove with CRLF": bytes.ReplaceAll(glove.Bytes(), []byte("\n"), []byte("\r\n"))}
}

func underscore(w string) string { return strings.ReplaceAll(w, " ", "_") }

var words = []string{"the", "a b", ". . .", "caf\u00e9", "odd\u0085word", "nb\u00a0sp", "12", "rose", "last"}

func TestFormatsAgree(t *testing.T) {
	var want *File
	for name, raw := range table(words, 9) {
		for _, zipped := range []bool{false, true} {
			data := raw
			if zipped {
				data = zip(raw)
			}
			keys := slices.Clone(words)
			if strings.HasPrefix(name, "w2v-bin") {
				for i := range keys {
					keys[i] = underscore(keys[i])
				}
			}
			f, err := Read(bytes.NewReader(data), Auto, set(append([]string{"absent"}, keys...)...))
			if err != nil {
				t.Fatalf("%s, gzip %v: %v", name, zipped, err)
			}
			if f.D != 9 || f.Rows != int64(len(words)) || !slices.Equal(f.Words, keys) || f.Gzip != zipped {
				t.Errorf("%s, gzip %v: %d dimensions, %d rows, words %q", name, zipped, f.D, f.Rows, f.Words)
			}
			if _, why := f.Vector("absent"); why != weat.Absent {
				t.Errorf("%s: absent word: %q", name, why)
			}
			if want == nil {
				want = f
			}
			for i, w := range want.Words {
				a, _ := want.Vector(w)
				b, _ := f.Vector(keys[i])
				if !slices.Equal(a, b) {
					t.Errorf("%s, gzip %v: %q: %v, want %v", name, zipped, w, b, a)
				}
			}
		}
	}
}

func TestOnlyWantedRows(t *testing.T) {
	for name, raw := range table(words, 5) {
		f, err := Read(bytes.NewReader(raw), Auto, set("rose", "the"))
		if err != nil || !slices.Equal(f.Words, []string{"the", "rose"}) {
			t.Errorf("%s: %q, %v; want the two wanted words", name, f.Words, err)
		}
	}
	// Rows that are not needed are not parsed, so their faults are not seen.
	f, err := Read(strings.NewReader("a 1 2\nb x y z\nc 3 4\n"), GloVe, set("a", "c"))
	if err != nil || f.Rows != 3 || len(f.Words) != 2 {
		t.Errorf("a bad row that is not needed: %v", err)
	}
}

func TestDuplicates(t *testing.T) {
	f, err := Read(strings.NewReader("a 1 2\nb 3 4\na 1 2\nb 3 5\n"), GloVe, set("a", "b"))
	want := []Duplicate{{"a", 1, 3, false}, {"b", 2, 4, true}}
	if err != nil || !slices.Equal(f.Duplicates, want) {
		t.Errorf("duplicates %v, %v; want %v", f.Duplicates, err, want)
	}
	if v, _ := f.Vector("b"); !slices.Equal(v, []float64{3, 4}) {
		t.Errorf("b = %v, want its first row", v)
	}
	if n := f.Notes(); len(n) != 1 || n[0].Code != "duplicate-vector" || !strings.Contains(n[0].Text, "a (rows 1 and 3, equal), b (rows 2 and 4, different)") {
		t.Errorf("notes %v", n)
	}
}

func TestRefusals(t *testing.T) {
	bin := func(n, d int, body string) string { return fmt.Sprintf("%d %d\n", n, d) + body }
	f32 := func(x ...float32) string {
		var b bytes.Buffer
		binary.Write(&b, binary.LittleEndian, x)
		return b.String()
	}
	long := strings.Repeat("x", 2000)
	good := zip([]byte("rose 1 2\nlast 3 4\n"))
	crc := bytes.Clone(good)
	crc[len(crc)-5] ^= 0xff
	for name, c := range map[string]struct {
		data   string
		format Format
		says   string
	}{
		"empty":                      {"", Auto, "no data"},
		"too few numbers":            {"a 1 2 3\nrose 1 2\n", Auto, `line 2: word "rose": found 2 numbers, want 3`},
		"too many numbers":           {"a 1 2 3\nrose 1 2 3 4\n", Auto, `line 2: word "rose": found 4 numbers, want 3`},
		"not a number":               {"a 1 2\nrose 1 x\n", Auto, `number 2: found "x"`},
		"hexadecimal":                {"a 1 2\nrose 1 0x2p1\n", Auto, "found"},
		"NaN":                        {"a 1 2\nrose 1 NaN\n", Auto, "NaN"},
		"infinite":                   {"a 1 2\nrose 1 1e999\n", Auto, "1e999"},
		"two spaces":                 {"a 1 2\nrose  1\n", Auto, `found ""`},
		"one dimension":              {"a 1\nrose 2\n", Auto, "1 numbers"},
		"no numbers":                 {"just words here\n", Auto, "0 numbers"},
		"blank line":                 {"a 1 2\n\nrose 1 2\n", Auto, "line 2: found an empty line"},
		"header as glove":            {"2 3\nrose 1 2 3\n", GloVe, "word2vec header"},
		"glove as w2v":               {"rose 1 2 3\n", W2V, "want two integers"},
		"wrong dimension":            {"1 4\nrose 1 2 3\n", W2V, "found 3 numbers, want 4"},
		"too many rows claimed":      {"3 2\nrose 1 2\nlast 1 2\n", Auto, "found 2 rows, want 3"},
		"too few rows claimed":       {"1 2\nrose 1 2\nlast 1 2\n", Auto, "found 2 rows, want 1"},
		"header D 1":                 {"1 1\nrose 1\n", Auto, "1 dimensions"},
		"header D huge":              {"1 70000\nrose 1\n", Auto, "70000 dimensions"},
		"header overflow":            {"99999999999999999999 3\nrose 1 2 3\n", Auto, "dimensions"},
		"line too long":              {"rose " + strings.Repeat("1 ", maxLine), Auto, "shorter lines"},
		"unknown format":             {"rose 1 2\n", "csv", "want auto"},
		"binary truncated in a row":  {bin(2, 2, "rose "+f32(1, 2)+"last "+f32(1)), W2VBin, "row 2: found 4 bytes"},
		"binary truncated at a row":  {bin(2, 2, "rose "+f32(1, 2)), W2VBin, "row 2: found the end"},
		"binary truncated in a word": {bin(2, 2, "rose "+f32(1, 2)+"la"), W2VBin, "row 2: found the end"},
		"binary goes on":             {bin(1, 2, "rose "+f32(1, 2)+"last "+f32(1, 2)), W2VBin, "found data after row 1"},
		"binary wrong dimension":     {bin(3, 1+1, "rose "+f32(1, 2, 3)+"last "+f32(1, 2, 3)+"more "+f32(1, 2, 3)), W2VBin, "right dimension"},
		"binary NaN":                 {bin(1, 2, "rose "+f32(1, float32(math.NaN()))), W2VBin, "number 2"},
		"binary long word":           {bin(1, 2, long+" "+f32(1, 2)), W2VBin, "no space within"},
		"binary no space":            {bin(1, 2, strings.Repeat("x", bufBytes+10)), W2VBin, "no space within"},
		"gzip truncated":             {string(good[:len(good)-10]), Auto, "truncated"},
		"gzip header only":           {"\x1f\x8b", Auto, "truncated"},
		"gzip checksum":              {string(crc), Auto, "damaged"},
		"gzip garbage":               {"\x1f\x8bxxxxxxxxxxxxxxxx", Auto, "damaged"},
	} {
		_, err := Options{Format: c.format, Name: "v.txt"}.Read(strings.NewReader(c.data), set("rose", "last"))
		f := fault.As(err)
		if f == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want a fault that says %q", name, err, c.says)
			continue
		}
		if name != "unknown format" && (f.Class != fault.Input || f.Code != "bad-vectors" || !strings.Contains(err.Error(), "v.txt")) {
			t.Errorf("%s: class %v, code %s: %v", name, f.Class, f.Code, err)
		}
	}
	if _, err := (Options{Size: 100}).Read(strings.NewReader(bin(1000, 300, "rose ")), set("rose")); err == nil || !strings.Contains(err.Error(), "claim of 1000 rows") {
		t.Errorf("a header that claims more than the file holds: %v", err)
	}
}

type failing struct{ r io.Reader }

var errDisk = errors.New("disk on fire")

func (f failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err == io.EOF {
		err = errDisk
	}
	return n, err
}

func TestReadErrorIsRetry(t *testing.T) {
	for name, raw := range table(words, 5) {
		_, err := Read(failing{bytes.NewReader(raw[:len(raw)/2])}, Auto, set("last"))
		if f := fault.As(err); f == nil || f.Class != fault.Retry || !errors.Is(err, errDisk) {
			t.Errorf("%s: %v, want a retry fault that wraps the cause", name, err)
		}
	}
}

func TestMoments(t *testing.T) {
	f, err := Options{Moments: true}.Read(strings.NewReader("a 1 2\nb 3 6\nc 2 1\n"), set("b"))
	if err != nil || f.Moments.Rows() != 3 || !slices.Equal(f.Moments.Mean(), []float64{2, 3}) {
		t.Fatalf("%v, %v; want the mean of all rows, 2 3", f, err)
	}
	s, err := f.Moments.Shift(weat.Centred)
	if err != nil {
		t.Fatal(err)
	}
	v, _ := f.Vector("b")
	if got := s.Apply(v); !slices.Equal(got, []float64{1, 3}) {
		t.Errorf("centred b = %v, want 1 3", got)
	}
	if _, err := (Options{Moments: true}).Read(strings.NewReader("a 1 2\nb x 6\n"), set("a")); err == nil {
		t.Error("with moments every row counts: a bad row gives no error")
	}
}

func TestWriteReadsBack(t *testing.T) {
	f, err := Read(bytes.NewReader(table(words, 7)["glove"]), Auto, set(words...))
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []Format{GloVe, W2V} {
		var b bytes.Buffer
		lost, err := Write(&b, format, append([]string{"absent", "rose"}, words...), f)
		if err != nil || !slices.Equal(lost, []string{"absent"}) {
			t.Fatalf("%s: lost %v, %v", format, lost, err)
		}
		g, err := Read(&b, Auto, set(words...))
		if err != nil || g.Format != format {
			t.Fatalf("%s read as %s: %v", format, g.Format, err)
		}
		for _, w := range words {
			x, _ := f.Vector(w)
			y, _ := g.Vector(w)
			if !slices.Equal(x, y) {
				t.Errorf("%s: %q: %v, want %v", format, w, y, x)
			}
		}
	}
}

type matrix [][]float64

func (m matrix) Rows() int                { return len(m) }
func (m matrix) Dim() int                 { return len(m[0]) }
func (m matrix) Row(i int, dst []float64) { copy(dst, m[i]) }

func TestFromRows(t *testing.T) {
	f, err := FromRows([]string{"a", "b", "a"}, matrix{{1, 2}, {3, 4}, {5, 6}}, set("a"), "emb")
	if v, _ := f.Vector("a"); err != nil || !slices.Equal(v, []float64{1, 2}) || len(f.Duplicates) != 1 {
		t.Errorf("%v, %v", f, err)
	}
	if _, err := FromRows([]string{"a"}, matrix{{1, 2}, {3, 4}}, set("a"), "emb"); err == nil {
		t.Error("1 word for 2 rows: no error")
	}
	if _, err := FromRows([]string{"a"}, matrix{{1, math.NaN()}}, set("a"), "emb"); err == nil {
		t.Error("NaN: no error")
	}
}

func TestRealFiles(t *testing.T) {
	for name, want := range map[string]struct {
		format Format
		rows   int64
	}{"glove840b_weat.txt.gz": {GloVe, 457}, "googlenews_w2v_weat.txt.gz": {W2V, 347}} {
		fd, err := os.Open("../../../testdata/weat/" + name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Read(fd, Auto, set("flower", "peace"))
		fd.Close()
		if err != nil || f.Format != want.format || f.Rows != want.rows || f.D != 300 {
			t.Errorf("%s: %v, %v; want %v of 300", name, f, err, want)
		}
	}
}

func fuzz(f *testing.F, format Format) {
	for _, raw := range table(words, 3) {
		f.Add(raw)
		f.Add(zip(raw))
	}
	f.Add([]byte("2 2\nrose 1 2\n"))
	f.Add([]byte("9999999 3\nrose \x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, o := range []Options{{Format: format}, {Format: format, Size: int64(len(data)), Moments: true}} {
			v, err := o.Read(bytes.NewReader(data), set("rose", "a b", ""))
			if err != nil {
				if fault.As(err) == nil {
					t.Fatalf("an error without a class: %v", err)
				}
				continue
			}
			for _, w := range v.Words {
				if x, why := v.Vector(w); why != "" || len(x) != v.D || slices.ContainsFunc(x, func(y float64) bool { return y-y != 0 }) {
					t.Fatalf("%q: %v, %q", w, x, why)
				}
			}
		}
	})
}

func FuzzAuto(f *testing.F)   { fuzz(f, Auto) }
func FuzzGloVe(f *testing.F)  { fuzz(f, GloVe) }
func FuzzBinary(f *testing.F) { fuzz(f, W2VBin) }

// TestFirstRows: moments and a pool can be of the first rows alone, in text and
// in binary; a bad row behind them that nobody wants is not parsed.
func TestFirstRows(t *testing.T) {
	text := "a 1 2\nb 3 6\nc 2 x\n"
	o := Options{Moments: true, MomentsRows: 2, Keep: 1}
	f, err := o.Read(strings.NewReader(text), set("b"))
	if err != nil || f.Moments.Rows() != 2 || !slices.Equal(f.Moments.Mean(), []float64{2, 4}) || !slices.Equal(f.Words, []string{"a", "b"}) {
		t.Fatalf("%+v, %v; want the mean of two rows, 2 4, and the words a b", f, err)
	}
	raw := table(words, 7)
	for _, name := range []string{"glove", "w2v-bin"} {
		f, err := o.Read(bytes.NewReader(raw[name]), set())
		if err != nil || f.Moments.Rows() != 2 || len(f.Words) != 1 || f.Rows != int64(len(words)) {
			t.Errorf("%s: %+v, %v; want moments of 2 rows, 1 word, %d rows", name, f, err, len(words))
		}
	}
}
