package latent

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/latent/geom"
)

// View is a tap, pooled over a span, at some layers.
type View struct {
	Tap, Pool, Span string
	Layers          []int // 0 = embedding output, l = output of block l; ascending
	Width           int
}

// Name is tap.pool, as in resid_post.mean.
func (v View) Name() string { return v.Tap + "." + v.Pool }

// Pick resolves a list of layers to indices into v.Layers. The list is "all"
// (or empty), or numbers, percentages of the last layer (rounded half up) and
// "last", separated by commas.
func (v View) Pick(list string) ([]int, error) {
	if list == "" || list == "all" {
		out := make([]int, len(v.Layers))
		for i := range out {
			out[i] = i
		}
		return out, nil
	}
	top := 0
	if len(v.Layers) > 0 {
		top = v.Layers[len(v.Layers)-1]
	}
	var out []int
	for _, f := range strings.Split(list, ",") {
		f = strings.TrimSpace(f)
		l, err := strconv.Atoi(f)
		switch {
		case f == "last":
			l, err = top, nil
		case strings.HasSuffix(f, "%"):
			var p float64
			p, err = strconv.ParseFloat(strings.TrimSuffix(f, "%"), 64)
			l = int(math.Floor(p/100*float64(top) + .5))
		}
		k := slices.Index(v.Layers, l)
		if err != nil || k < 0 {
			return nil, fault.Usagef("latent: layer %q: not in view %s, want all, last, a percentage or one of %v", f, v.Name(), v.Layers)
		}
		if !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out, nil
}

// What units are, beside single documents.
const (
	UnitFamily = "family"
	UnitPair   = "pair"
)

// Info identifies states: what was measured on what, by digest.
type Info struct {
	Path       string
	Run        string // identity of the measurement, "sha256:<hex>"
	Checkpoint string // digest of the weights
	Tokenizer  string
	Text       string // digest of the texts
	Plan       string // digest of the cell and sample plan
	Template   string
	Units      string // "" = documents, else UnitFamily or UnitPair
	Views      []View
	Labels     []string // names by index
	Strata     []string // names by index; empty = none
	Quantised  bool     // weights were stored with fewer than 16 bits
	Unverified bool     // the content digest was not checked
}

// View finds a view by name; "" is resid_post.mean or else the first.
func (in Info) View(name string) (int, error) {
	if len(in.Views) == 0 {
		return 0, fault.Inputf("missing-states", "latent: %s: no view, want at least one", in.Path)
	}
	want := name
	if want == "" {
		want = "resid_post.mean"
	}
	var have []string
	for i, v := range in.Views {
		if v.Name() == want {
			return i, nil
		}
		have = append(have, v.Name())
	}
	if name == "" {
		return 0, nil
	}
	return 0, fault.Usagef("latent: view %q: not in %s, want one of %s", name, in.Path, strings.Join(have, ", "))
}

// Docs describes the documents, in file order. Label, Stratum and Cell are -1
// for none.
type Docs struct {
	ID                   []string
	Label, Stratum, Unit []int32
	Tokens, Span, Bytes  []int32   // tokens in the window, in the span; bytes of text
	TextSHA              [][8]byte // first bytes of SHA-256 of the text
}

// Len returns the number of documents.
func (d *Docs) Len() int { return len(d.ID) }

// Peaks are the largest absolute token activations per document and layer,
// all row-major n x K.
type Peaks struct {
	Layers          []int
	Max             []float32
	Pos, Dim, Count []int32 // position and dimension of Max; number of massive activations
}

// TokenSums are per-dimension sums over tokens; row 0 = first position of the
// window, row 1 = all others.
type TokenSums struct {
	Tokens [2]int64 // positions summed in each row; 0 = not known
	Sq     [2][]float64
	Max    [2][]float32
	N6     [2][]int64 // count of |x| >= 6
}

// TokenRows are unpooled vectors: rows Offsets[i] to Offsets[i+1] are document i's.
type TokenRows struct {
	Offsets []int64
	Pos     []int32
	X       geom.Rows
}

// Lens are the readings of the checkpoint's own head at every layer; P
// positions, K layers, row-major P x K (TopID and TopLogProb P x K x 5).
type Lens struct {
	Layers               []int
	Doc, Pos, Target     []int32 // Target = next token, -1 at the end of the text
	LogProb, Entropy, KL []float32
	Rank, TopID          []int32
	TopLogProb           []float32
}

// States is what the tests read: one states file, or the same in memory. A part
// that was not kept is nil (or false, or has no rows), never zeros; an error means
// that it is there and cannot be read. Implementations are safe for concurrent reads.
type States interface {
	Info() Info
	Docs() (*Docs, error)
	Cells(view int) (geom.Cells, error)
	Rows(view, k int) (geom.Rows, bool)                     // every document, layer Layers[k]
	Sample(view, k int) (x geom.Rows, doc []int, err error) // doc names each row's document
	SqNorm(view int) ([]float32, error)                     // documents x layers
	DimSq(view, k int) (geom.Dense, error)                  // labels x width: sum over documents of x^2
	Peaks(tap string) (*Peaks, error)
	TokenSums(tap string, layer int) (*TokenSums, error) // layer: its number
	TokenRows(tap string, layer int) (*TokenRows, error)
	Lens() (*Lens, error)
}

// Same checks that two states hold the same documents under the same plan.
// The error names the field and both values.
func Same(a, b States) error {
	x, y := a.Info(), b.Info()
	for _, f := range []struct{ name, a, b string }{
		{"text", x.Text, y.Text}, {"template", x.Template, y.Template}, {"units", x.Units, y.Units},
		{"labels", strings.Join(x.Labels, ","), strings.Join(y.Labels, ",")},
		{"strata", strings.Join(x.Strata, ","), strings.Join(y.Strata, ",")},
		{"plan", x.Plan, y.Plan},
	} {
		if f.a != f.b {
			return fault.Inputf("states-mismatch", "latent: %s and %s: %s %q and %q, want the same", x.Path, y.Path, f.name, f.a, f.b)
		}
	}
	da, err := a.Docs()
	if err != nil {
		return err
	}
	db, err := b.Docs()
	if err != nil {
		return err
	}
	if da.Len() != db.Len() {
		return fault.Inputf("states-mismatch", "latent: %s and %s: %d and %d documents, want the same", x.Path, y.Path, da.Len(), db.Len())
	}
	for i, id := range da.ID {
		if id != db.ID[i] || da.Label[i] != db.Label[i] || da.Stratum[i] != db.Stratum[i] || da.Unit[i] != db.Unit[i] {
			return fault.Inputf("states-mismatch", "latent: document %d: %q (label %d, stratum %d, unit %d) and %q (%d, %d, %d), want the same",
				i, id, da.Label[i], da.Stratum[i], da.Unit[i], db.ID[i], db.Label[i], db.Stratum[i], db.Unit[i])
		}
	}
	return nil
}

// SameView finds a view in both and checks that span and layers agree.
func SameView(a, b Info, name string) (va, vb int, err error) {
	if va, err = a.View(name); err != nil {
		return 0, 0, err
	}
	if vb, err = b.View(a.Views[va].Name()); err != nil {
		return 0, 0, err
	}
	x, y := a.Views[va], b.Views[vb]
	if x.Span != y.Span {
		return 0, 0, fault.Inputf("states-mismatch", "latent: view %s: span %q and %q, want the same", x.Name(), x.Span, y.Span)
	}
	if !slices.Equal(x.Layers, y.Layers) {
		return 0, 0, fault.Inputf("states-mismatch", "latent: view %s: layers %v and %v, want the same", x.Name(), x.Layers, y.Layers)
	}
	return va, vb, nil
}

func missing(in Info, what, flags string) error {
	return fault.Inputf("missing-states", "latent: %s: %s were not kept, want them", in.Path, what).Hint("make the states again with %s", flags)
}

// NeedRows is the error for rows that neither `rows` nor the sample holds.
func NeedRows(in Info, v View, layer int) error {
	return missing(in, fmt.Sprintf("rows of %s layer %d", v.Name(), layer), "--keep all or --sample 512")
}

// NeedCells is the error for cell sums that were not kept.
func NeedCells(in Info, v View) error {
	return missing(in, "cell sums of "+v.Name(), "--cells 128")
}
