package latent

import (
	"fmt"
	"slices"
	"strings"

	"assay/internal/fault"
	"assay/latent/geom"
)

// Design says which documents are compared and what may be exchanged: labels
// are numbered 0..k-1 in the order of Groups, strata 0..; units keep the file's
// number.
type Design struct {
	Groups []string
	Strata []string // names of the strata in use; one entry "" without strata
	Form   geom.Form

	label, stratum map[int]int // file index -> own index
	docs           *Docs
	members        geom.Members // of all documents
	all            []geom.Unit
	names          map[int]string
	pooled         *Design // the same without strata
}

// NewDesign selects groups by name (nil = all labels of the file, in file
// order). With strata the file's strata are used, else there is one. A label
// with fewer than two units is an error, as are labels that share no stratum.
func NewDesign(s States, groups []string, strata bool) (*Design, error) {
	in := s.Info()
	docs, err := s.Docs()
	if err != nil {
		return nil, err
	}
	d := &Design{docs: docs, label: map[int]int{}, stratum: map[int]int{}}
	if len(groups) == 0 {
		groups = in.Labels
	}
	for _, g := range groups {
		i := slices.Index(in.Labels, g)
		if i < 0 {
			return nil, fault.Usagef("latent: group %q: not a label of %s, want one of %s", g, in.Path, strings.Join(in.Labels, ", "))
		}
		if _, twice := d.label[i]; twice {
			return nil, fault.Usagef("latent: group %q: named twice, want each once", g)
		}
		d.label[i] = len(d.Groups)
		d.Groups = append(d.Groups, g)
	}
	if len(d.Groups) < 2 {
		return nil, fault.Inputf("too-few-groups", "latent: %s: labels %q, want at least 2", in.Path, d.Groups)
	}
	d.Strata = []string{""}
	if strata {
		d.useStrata(in)
	}
	switch in.Units {
	case UnitPair:
		d.Form = geom.Pairs
	case UnitFamily:
		d.Form = geom.Families
	}
	d.names = d.unitNames()
	d.members, d.all = d.units(nil)
	p := *d
	if d.Stratified() {
		p.Strata, p.stratum = []string{""}, map[int]int{}
		p.members, p.all = p.units(nil)
	}
	p.pooled = &p
	d.pooled = &p
	return d, d.check(in)
}

// useStrata numbers the strata that occur, in file order; documents without a
// stratum form one of their own.
func (d *Design) useStrata(in Info) {
	seen := map[int]bool{}
	for i, l := range d.docs.Label {
		if _, ok := d.label[int(l)]; ok {
			seen[int(d.docs.Stratum[i])] = true
		}
	}
	var names []string
	for st := -1; st < len(in.Strata); st++ {
		if !seen[st] {
			continue
		}
		d.stratum[st] = len(names)
		if st < 0 {
			names = append(names, "(none)")
		} else {
			names = append(names, in.Strata[st])
		}
	}
	if len(names) < 2 {
		d.stratum = map[int]int{}
		return
	}
	d.Strata = names
}

// Stratified reports whether there are strata.
func (d *Design) Stratified() bool { return len(d.Strata) > 1 }

// Pooled is the same design without strata.
func (d *Design) Pooled() *Design { return d.pooled }

// Independent is the same design with rows taken as independent.
func (d *Design) Independent() *Design {
	p := *d
	p.Form = geom.Independent
	return &p
}

// Of returns a document's label and stratum in the design; ok is false for a
// document of another label or of none.
func (d *Design) Of(doc int) (label, stratum int, ok bool) {
	if label, ok = d.label[int(d.docs.Label[doc])]; !ok {
		return 0, 0, false
	}
	if len(d.Strata) > 1 {
		stratum = d.stratum[int(d.docs.Stratum[doc])]
	}
	return label, stratum, true
}

// Use lists the documents of the design among those given (nil = all): the
// positions in the list, and their labels.
func (d *Design) Use(docs []int) (rows, labels []int) {
	n := len(docs)
	if docs == nil {
		n = d.docs.Len()
	}
	for r := range n {
		i := r
		if docs != nil {
			i = docs[r]
		}
		if l, _, ok := d.Of(i); ok {
			rows = append(rows, r)
			labels = append(labels, l)
		}
	}
	return rows, labels
}

// units groups documents (positions r, document docs[r] or r) into units.
func (d *Design) units(docs []int) (geom.Members, []geom.Unit) {
	type key struct{ label, unit int }
	at := map[key]int{}
	var m geom.Members
	var us []geom.Unit
	rows, _ := d.Use(docs)
	for _, r := range rows {
		i := r
		if docs != nil {
			i = docs[r]
		}
		l, s, _ := d.Of(i)
		k := key{l, int(d.docs.Unit[i])}
		j, ok := at[k]
		if !ok {
			j = len(us)
			at[k] = j
			us = append(us, geom.Unit{Label: l, Stratum: s, Block: k.unit})
			m = append(m, nil)
		}
		m[j] = append(m[j], r)
	}
	return m, us
}

// RowTable makes the table of rows; docs names each row's document (nil = row i
// is document i). Rows outside the design are left out.
func (d *Design) RowTable(x geom.Rows, docs []int, workers int) (*geom.Table, error) {
	m, us := d.members, d.all
	if docs != nil {
		m, us = d.units(docs)
	}
	return geom.FromRows(x, m, us, len(d.Groups), len(d.Strata), d.form(m), workers)
}

// form turns families of one row each into independent rows.
func (d *Design) form(m geom.Members) geom.Form {
	if d.Form != geom.Families {
		return d.Form
	}
	for _, u := range m {
		if len(u) > 1 {
			return geom.Families
		}
	}
	return geom.Independent
}

// CellTable makes the table of cells in the space of sum_k alpha_k x_k, or of
// unit vectors.
func (d *Design) CellTable(c geom.Cells, alpha []float64, unit bool, workers int) (*geom.Table, error) {
	strata := d.stratum
	if len(d.Strata) < 2 {
		strata = nil
	}
	return geom.FromCells(c, alpha, unit, d.label, strata, d.form(d.members), workers)
}

// CellLabel maps a cell to label and stratum of the design.
func (d *Design) CellLabel(c geom.Cell) (label, stratum int, ok bool) {
	if label, ok = d.label[c.Label]; !ok {
		return 0, 0, false
	}
	if len(d.Strata) > 1 {
		stratum, ok = d.stratum[c.Stratum]
	}
	return label, stratum, ok
}

// FileLabel is the file's index of a group.
func (d *Design) FileLabel(group int) int {
	for f, g := range d.label {
		if g == group {
			return f
		}
	}
	return -1
}

// Counts are units and rows by label.
func (d *Design) Counts() (units, rows []int) {
	units, rows = make([]int, len(d.Groups)), make([]int, len(d.Groups))
	for i, u := range d.all {
		units[u.Label]++
		rows[u.Label] += len(d.members[i])
	}
	return units, rows
}

func (d *Design) check(in Info) error {
	k := len(d.Groups)
	n := make([][]int, len(d.Strata))
	for s := range n {
		n[s] = make([]int, k)
	}
	for _, u := range d.all {
		n[u.Stratum][u.Label]++
	}
	total := make([]int, k)
	usable := false
	for _, row := range n {
		ok := true
		for l, c := range row {
			total[l] += c
			ok = ok && c >= 2
		}
		usable = usable || ok
	}
	few := 0
	for _, c := range total {
		if c < 2 {
			few++
		}
	}
	if few > 0 {
		return fault.Inputf("too-few-units", "latent: %s: %s; want at least 2 units of every group", in.Path, d.table(n))
	}
	if !usable {
		return fault.Inputf("label-in-one-stratum", "latent: %s: no stratum holds 2 units of every group: %s", in.Path, d.table(n)).
			Hint("without strata the comparison mixes topic and label: --strata none, tier C")
	}
	return d.checkPairs(in)
}

func (d *Design) table(n [][]int) string {
	var parts []string
	for s, row := range n {
		var p []string
		for l, c := range row {
			p = append(p, fmt.Sprintf("%s %d", d.Groups[l], c))
		}
		name := ""
		if d.Strata[s] != "" {
			name = d.Strata[s] + ": "
		}
		parts = append(parts, name+strings.Join(p, ", "))
	}
	if len(parts) > 12 {
		parts = append(parts[:12], fmt.Sprintf("and %d more strata", len(parts)-12))
	}
	return strings.Join(parts, "; ")
}

func (d *Design) checkPairs(in Info) error {
	if d.Form != geom.Pairs {
		return nil
	}
	stratum := map[int32]int{}
	for i := range d.docs.ID {
		if _, s, ok := d.Of(i); ok {
			u := d.docs.Unit[i]
			if o, seen := stratum[u]; seen && o != s {
				return fault.Inputf("bad-pair", "latent: %s: pair of %q lies in strata %q and %q, want one", in.Path, d.docs.ID[i], d.Strata[o], d.Strata[s])
			}
			stratum[u] = s
		}
	}
	return nil
}

// UnitName is a unit's name, which does not depend on row order: the smallest id
// among its documents.
func (d *Design) UnitName(unit int) string { return d.names[unit] }

func (d *Design) unitNames() map[int]string {
	out := map[int]string{}
	for i, id := range d.docs.ID {
		u := int(d.docs.Unit[i])
		if n, ok := out[u]; !ok || id < n {
			out[u] = id
		}
	}
	return out
}

// Unit is a document's unit number.
func (d *Design) Unit(doc int) int { return int(d.docs.Unit[doc]) }
