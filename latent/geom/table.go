package geom

import (
	"fmt"
	"slices"

	"assay/internal/fault"
	"assay/latent/internal/par"
)

// Form is the dependence between rows that the noise of a mean must allow for.
type Form int

const (
	// Independent rows: every row is a draw of its own.
	Independent Form = iota
	// Families: rows of one unit belong together; the noise comes from the
	// scatter of unit means, not of rows.
	Families
	// Pairs: units with equal Block hold the two (or k) sides of the same pairs;
	// only differences inside a pair are independent.
	Pairs
)

func (f Form) String() string { return [...]string{"independent", "families", "pairs"}[f] }

// Unit is what may be moved or left out as a whole: a document, a family, a
// side of a pair, or a cell that holds several of these.
type Unit struct {
	Label, Stratum, Block int
	N                     int     // rows
	Q                     float64 // sum over rows of |x - center|^2
}

// Table is the rows of one space (one layer, or a weighted sum of layers), as
// units with their vector sums. All its vectors are relative to Center, the
// mean of all rows, which no statistic depends on but rounding does.
type Table struct {
	Form    Form
	Labels  int // labels are 0..Labels-1
	Strata  int // strata are 0..Strata-1
	Unit    []Unit
	Center  []float64
	Workers int // 0 = one per core; changes no number

	x      Rows // raw unit sums
	groups []group
}

// group holds the totals of one label in one stratum.
type group struct {
	n, units int
	s        []float64 // sum of rows
	q        float64   // sum over rows of squared norm
	a        float64   // sum over units of |S_u|^2
	b        []float64 // sum over units of n_u S_u
	nn       float64   // sum over units of n_u^2
}

// Members assigns rows to units: the rows of unit u are Members[u].
type Members [][]int

// Singles makes every row its own unit.
func Singles(n int) Members {
	m := make(Members, n)
	for i := range m {
		m[i] = []int{i}
	}
	return m
}

type memberRows struct {
	Rows
	m Members
}

func (r memberRows) Len() int { return len(r.m) }
func (r memberRows) At(u int, dst []float64) {
	if len(r.m[u]) == 1 {
		r.Rows.At(r.m[u][0], dst)
		return
	}
	b := make([]float64, r.Width())
	clear(dst[:len(b)])
	for _, i := range r.m[u] {
		r.Rows.At(i, b)
		for j, v := range b {
			dst[j] += v
		}
	}
}

// FromRows makes a table of rows. Only Label, Stratum and Block of units are
// read; N and Q are computed, Q about the mean in a second pass.
func FromRows(x Rows, m Members, units []Unit, labels, strata int, form Form, workers int) (*Table, error) {
	if len(m) != len(units) {
		return nil, fault.Usagef("geom: table: %d units with members, want %d", len(m), len(units))
	}
	t := &Table{Form: form, Labels: labels, Strata: strata, Unit: slices.Clone(units), Workers: workers, x: memberRows{x, m}}
	n := 0
	for u := range m {
		t.Unit[u].N = len(m[u])
		n += len(m[u])
	}
	t.centre(n)
	bad := make([]int, len(m))
	par.For((len(m)+chunk-1)/chunk, workers, func(g int) {
		buf := make([]float64, x.Width())
		for u := g * chunk; u < min(len(m), (g+1)*chunk); u++ {
			q := 0.0
			for _, i := range m[u] {
				x.At(i, buf)
				q += dist2(buf, t.Center)
			}
			t.Unit[u].Q = q
			if !(q <= maxFloat) {
				bad[u] = 1 + m[u][0]
			}
		}
	})
	for _, r := range bad {
		if r > 0 {
			return nil, fault.Inputf("nonfinite", "geom: row %d: NaN or Inf, want finite values", r-1)
		}
	}
	return t, t.sum()
}

// FromCells makes a table whose units are the cells with label in labels (a
// map from the file's label index to 0..k-1), in the space sum_k alpha_k x_k,
// or of unit vectors if unit is set. Strata are renumbered by strata in the
// same way; nil keeps one stratum for all.
func FromCells(c Cells, alpha []float64, unit bool, labels, strata map[int]int, form Form, workers int) (*Table, error) {
	if len(alpha) != c.Layers() {
		return nil, fault.Usagef("geom: cells: %d layer weights, want %d", len(alpha), c.Layers())
	}
	r := cellRows{c: c, alpha: alpha, unit: unit}
	t := &Table{Form: form, Labels: len(labels), Strata: 1, Workers: workers}
	if strata != nil {
		t.Strata = len(strata)
	}
	n := 0
	for i := range c.Len() {
		in := c.Info(i)
		l, ok := labels[in.Label]
		if !ok || in.N == 0 {
			continue
		}
		s, b := 0, in.Block
		if strata == nil {
			// Block numbers start anew in every stratum of the file.
			b += (in.Stratum + 1) << 16
		} else if s, ok = strata[in.Stratum]; !ok {
			continue
		}
		r.idx = append(r.idx, i)
		t.Unit = append(t.Unit, Unit{Label: l, Stratum: s, Block: b, N: in.N})
		n += in.N
	}
	t.x = r
	t.centre(n)
	m2 := dot(t.Center, t.Center)
	par.For(len(t.Unit), workers, func(i int) {
		buf := make([]float64, c.Width())
		r.At(i, buf)
		u := &t.Unit[i]
		u.Q = max(0, r.quad(i)-2*dot(buf, t.Center)+float64(u.N)*m2)
	})
	for i, u := range t.Unit {
		if !(u.Q <= maxFloat) {
			return nil, fault.Inputf("nonfinite", "geom: cell %d: NaN or Inf in its sums, want finite values", r.idx[i])
		}
	}
	return t, t.sum()
}

const maxFloat = 1.7976931348623157e308

func (t *Table) centre(n int) {
	t.Center = SumChunks(t.x.Len(), t.x.Width(), t.Workers, func(i int, buf, acc []float64) {
		t.x.At(i, buf)
		for j, v := range buf {
			acc[j] += v
		}
	})
	for j := range t.Center {
		t.Center[j] /= float64(max(n, 1))
	}
}

// Width returns the number of dimensions.
func (t *Table) Width() int { return t.x.Width() }

// At writes the sum of unit u's rows, each relative to Center.
func (t *Table) At(u int, dst []float64) {
	t.x.At(u, dst)
	n := float64(t.Unit[u].N)
	for j, c := range t.Center {
		dst[j] -= n * c
	}
}

func (t *Table) group(label, stratum int) *group { return &t.groups[stratum*t.Labels+label] }

// sum fills the group totals; units of one chunk are added in order.
func (t *Table) sum() error {
	w := t.Width()
	t.groups = make([]group, t.Labels*t.Strata)
	byGroup := make([][]int, len(t.groups))
	for i, u := range t.Unit {
		if u.Label < 0 || u.Label >= t.Labels || u.Stratum < 0 || u.Stratum >= t.Strata {
			return fault.Usagef("geom: unit %d: label %d, stratum %d, want below %d and %d", i, u.Label, u.Stratum, t.Labels, t.Strata)
		}
		g := u.Stratum*t.Labels + u.Label
		byGroup[g] = append(byGroup[g], i)
	}
	for g := range t.groups {
		idx := byGroup[g]
		gr := &t.groups[g]
		acc := SumChunks(len(idx), 2*w+1, t.Workers, func(i int, buf, acc []float64) {
			u := t.Unit[idx[i]]
			v := buf[:w]
			t.At(idx[i], v)
			n := float64(u.N)
			for j, x := range v {
				acc[j] += x
				acc[w+j] += n * x
			}
			acc[2*w] += dot(v, v)
		})
		gr.s, gr.b, gr.a = acc[:w], acc[w:2*w], acc[2*w]
		for _, i := range idx {
			u := t.Unit[i]
			gr.n += u.N
			gr.units++
			gr.q += u.Q
			gr.nn += float64(u.N) * float64(u.N)
		}
	}
	if t.Form == Pairs {
		return t.checkPairs()
	}
	return nil
}

// checkPairs requires one unit per label, with equal rows, in every block.
func (t *Table) checkPairs() error {
	for _, b := range t.blocks() {
		if b.double {
			return fault.Inputf("bad-pair", "geom: pair block %d: two units of one label, want one per label", b.block)
		}
		n := -1
		for l, u := range b.unit {
			if u < 0 {
				return fault.Inputf("bad-pair", "geom: pair block %d: no unit of label %d, want one per label", b.block, l)
			}
			if n >= 0 && t.Unit[u].N != n {
				return fault.Inputf("bad-pair", "geom: pair block %d: %d and %d rows, want equal numbers", b.block, n, t.Unit[u].N)
			}
			n = t.Unit[u].N
		}
	}
	return nil
}

// block is a set of units, one per label, with equal stratum and block number.
type block struct {
	stratum, block int
	unit           []int // by label; -1 = none
	n              int   // rows of the first label's unit
	double         bool  // two units of one label
}

// blocks lists units by stratum and block number in order of first appearance.
func (t *Table) blocks() []block {
	var out []block
	at := map[[2]int]int{}
	for i, u := range t.Unit {
		k := [2]int{u.Stratum, u.Block}
		j, ok := at[k]
		if !ok {
			j = len(out)
			at[k] = j
			b := block{stratum: u.Stratum, block: u.Block, unit: make([]int, t.Labels)}
			for l := range b.unit {
				b.unit[l] = -1
			}
			out = append(out, b)
		}
		if out[j].unit[u.Label] >= 0 {
			out[j].double = true
			continue
		}
		out[j].unit[u.Label] = i
		if u.Label == 0 || out[j].n == 0 {
			out[j].n = u.N
		}
	}
	return out
}

// Counts returns rows and units by stratum and label, for messages.
func (t *Table) Counts() string {
	s := ""
	for st := range t.Strata {
		for l := range t.Labels {
			g := t.group(l, st)
			s += fmt.Sprintf("stratum %d label %d: %d units, %d rows; ", st, l, g.units, g.n)
		}
	}
	return s
}
