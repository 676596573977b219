package compare

import (
	"fmt"
	"slices"
)

// TokenRows is how the rows of two embedding matrices compare, row by row of the
// tokens that both vocabularies have.
type TokenRows struct {
	Matched   int `json:"matched"`
	Identical int `json:"identical"`
	OnlyA     int `json:"only_a"` // tokens
	OnlyB     int `json:"only_b"`
	Distance
}

// files reads configuration and tokenizer of both sides and lists their differences.
func (c *comparison) files() (ta, tb *vocabulary, err error) {
	side := func(k Checkpoint) (map[string]string, *vocabulary, error) {
		text, err := k.File("config.json")
		if err != nil {
			return nil, nil, err
		}
		m, err := flatten(text)
		if err != nil {
			return nil, nil, fmt.Errorf("compare: %s: %w", k.Path(), err)
		}
		if text, err = k.File("tokenizer.json"); err != nil || text == nil {
			return m, nil, err
		}
		v, err := parseTokenizer(text)
		if err != nil {
			return nil, nil, malformedTokenizer(k.Path(), err)
		}
		return m, v, nil
	}
	ca, ta, err := side(c.a)
	if err != nil {
		return nil, nil, err
	}
	cb, tb, err := side(c.b)
	if err != nil {
		return nil, nil, err
	}
	c.rep.Config = mapDiff(ca, cb)
	if ta != nil && tb != nil {
		c.rep.Tokenizer = diffTokenizers(ta, tb)
	}
	c.rep.Files = []FileDiff{}
	for _, d := range mapDiff(c.a.Digests().Files, c.b.Digests().Files) {
		c.rep.Files = append(c.rep.Files, FileDiff{d.Key, d.A, d.B})
	}
	return ta, tb, nil
}

// tokenRows compares embedding and head matrices row by row where the
// vocabularies differ or the matrices have another number of rows.
func (c *comparison) tokenRows(ta, tb *vocabulary) error {
	if ta == nil || tb == nil {
		return nil
	}
	moved := c.rep.Tokenizer.OnlyA+c.rep.Tokenizer.OnlyB+c.rep.Tokenizer.Moved > 0
	for i := range c.rep.Tensors {
		r := &c.rep.Tensors[i]
		if (r.Kind != "embedding" && r.Kind != "head") || len(r.ShapeA) != 2 || len(r.ShapeB) != 2 || r.ShapeA[1] != r.ShapeB[1] {
			continue
		}
		if !moved && r.Status != Shape || r.ShapeA[0] <= largest(ta) || r.ShapeB[0] <= largest(tb) {
			continue
		}
		if err := c.matchRows(r, ta, tb); err != nil {
			return err
		}
	}
	return nil
}

// largest is the greatest id of a vocabulary.
func largest(v *vocabulary) int {
	most := -1
	for _, id := range v.ids {
		most = max(most, id)
	}
	return most
}

func (c *comparison) matchRows(r *Row, ta, tb *vocabulary) error {
	name := r.Name
	if r.Other != "" {
		name = r.Other
	}
	x, err := c.a.Open(r.Name)
	if err != nil {
		return fmt.Errorf("compare: %s: %w", c.a.Path(), err)
	}
	y, err := c.b.Open(name)
	if err != nil {
		return fmt.Errorf("compare: %s: %w", c.b.Path(), err)
	}
	type pair struct{ a, b int }
	var pairs []pair
	out := &TokenRows{}
	for t, i := range ta.ids {
		if j, ok := tb.ids[t]; ok && i >= 0 && j >= 0 {
			pairs = append(pairs, pair{i, j})
		} else {
			out.OnlyA++
		}
	}
	for t := range tb.ids {
		if _, ok := ta.ids[t]; !ok {
			out.OnlyB++
		}
	}
	slices.SortFunc(pairs, func(p, q pair) int { return p.a - q.a })
	w := r.ShapeA[1]
	u, v := make([]float64, w), make([]float64, w)
	var total sums
	for k, p := range pairs {
		if k%1024 == 0 {
			if err := c.ctx.Err(); err != nil {
				return err
			}
		}
		if err := x.Read(p.a*w, u); err != nil {
			return fmt.Errorf("compare: %s: %w", c.a.Path(), err)
		}
		if err := y.Read(p.b*w, v); err != nil {
			return fmt.Errorf("compare: %s: %w", c.b.Path(), err)
		}
		one := pairing{equal: true}
		one.add(u, v)
		if one.equal {
			out.Identical++
		}
		total.add(one.sums)
	}
	out.Matched, out.Distance = len(pairs), total.distance()
	r.Rows = out
	return nil
}
