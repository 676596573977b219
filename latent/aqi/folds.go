package aqi

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"assay/latent/geom"
)

// folds deals units to folds: inside each label and stratum (a pair counts as
// one unit) units are ordered by SHA-256 of seed and name and dealt round robin,
// each group starting where the one before stopped. It depends on ids alone.
func (r *runner) folds(docs, labels []int, salt string) []int {
	q := r.q
	type unit struct {
		key, label, stratum int
		digest              string
	}
	seen := map[int]bool{}
	var us []unit
	for i, d := range docs {
		k := q.unitKey(d)
		if seen[k] {
			continue
		}
		seen[k] = true
		_, s, _ := q.d.Of(d)
		u := unit{key: k, stratum: s}
		if q.d.Form != geom.Pairs {
			u.label = labels[i]
		}
		h := sha256.Sum256(fmt.Appendf(nil, "assay.folds/1\n%d\n%s\n%s", r.o.Seed, salt, q.d.UnitName(q.d.Unit(d))))
		u.digest = string(h[:])
		us = append(us, u)
	}
	slices.SortFunc(us, func(a, b unit) int {
		if a.stratum != b.stratum {
			return a.stratum - b.stratum
		}
		if a.label != b.label {
			return a.label - b.label
		}
		return strings.Compare(a.digest, b.digest)
	})
	at := map[int]int{}
	for i, u := range us {
		at[u.key] = i % r.o.Folds
	}
	out := make([]int, len(docs))
	for i, d := range docs {
		out[i] = at[q.unitKey(d)]
	}
	return out
}

// unitKey identifies the unit that must stay together: in paired data the pair,
// else the unit inside its label.
func (q *source) unitKey(doc int) int {
	u := q.d.Unit(doc)
	if q.d.Form == geom.Pairs {
		return u
	}
	l, _, _ := q.d.Of(doc)
	return u*len(q.d.Groups) + l
}
