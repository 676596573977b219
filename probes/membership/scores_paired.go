package membership

import "math"

// reference returns the item's first reference or why it cannot be used.
func (in *Item) reference(sameRows bool) (Reference, string) {
	if len(in.Ref) == 0 {
		return Reference{}, "reference missing"
	}
	r := in.Ref[0]
	switch {
	case r.Doc.Scored == 0:
		return r, "not scored by the reference"
	case sameRows && (!r.SameTokenizer || r.Doc.Scored != in.Doc.Scored):
		return r, "the reference cuts the text differently"
	}
	return r, ""
}

func buildRef(name string, arg []string) (fn, error) {
	f := fn{"ref", NeedRef, func(in *Item) (float64, int, string) {
		r, st := in.reference(true)
		return meanLogProb(in.Doc) - meanLogProb(r.Doc), 1, st
	}}
	if len(arg) == 1 && arg[0] == "ratio" {
		f = fn{"ref:ratio", NeedRef, func(in *Item) (float64, int, string) {
			r, st := in.reference(true)
			return meanLogProb(r.Doc) / meanLogProb(in.Doc), 1, st
		}}
	}
	if len(arg) == 1 && arg[0] == "bits" {
		f = fn{"ref:bits", NeedRef | NeedText, func(in *Item) (float64, int, string) {
			r, st := in.reference(false)
			if in.Doc.Bytes <= 0 {
				st = "no text"
			}
			return (in.Doc.SumLogprob - r.Doc.SumLogprob) / (float64(in.Doc.Bytes) * math.Ln2), 1, st
		}}
	}
	return f, plainOnly(name, arg, "ratio", "bits")
}

func buildRecall(name string, arg []string) (fn, error) {
	get := func(in *Item) (after, alone float64, st string) {
		if in.Shots == nil {
			return 0, 0, "shots missing"
		}
		if in.Shots.Scored == 0 {
			return 0, 0, "not scored after the shots"
		}
		return meanLogProb(*in.Shots), meanLogProb(in.Doc), ""
	}
	if len(arg) == 1 && arg[0] == "diff" {
		return fn{"recall:diff", NeedShots, func(in *Item) (float64, int, string) {
			after, alone, st := get(in)
			return alone - after, 1, st
		}}, nil
	}
	return fn{"recall", NeedShots, func(in *Item) (float64, int, string) {
		after, alone, st := get(in)
		return after / alone, 1, st
	}}, plainOnly(name, arg, "diff")
}

func buildConRecall(name string, arg []string) (fn, error) {
	return fn{"conrecall", NeedShots | NeedMemberShots, func(in *Item) (float64, int, string) {
		if in.Shots == nil || in.MemberShots == nil || in.Shots.Scored == 0 || in.MemberShots.Scored == 0 {
			return 0, 1, "shots missing"
		}
		return (meanLogProb(*in.MemberShots) - meanLogProb(*in.Shots)) / -meanLogProb(in.Doc), 1, ""
	}}, plainOnly(name, arg)
}

func buildNeigh(name string, arg []string) (fn, error) {
	return fn{"neigh", NeedNeighbours, func(in *Item) (float64, int, string) {
		s, n := 0.0, 0
		for _, d := range in.Neighbours {
			if d.Scored > 0 {
				s += meanLogProb(d)
				n++
			}
		}
		if n == 0 {
			return 0, 1, "neighbours missing"
		}
		return meanLogProb(in.Doc) - s/float64(n), 1, ""
	}}, plainOnly(name, arg)
}

// gains returns l - l' row by row.
func (in *Item) gains() ([]float64, string) {
	r, st := in.reference(true)
	if st != "" {
		return nil, st
	}
	if r.Tok.Logprob == nil {
		return nil, "token rows of the reference missing"
	}
	v := in.rows()
	d := make([]float64, len(v.l))
	for i, row := range v.rows {
		if !r.Tok.Scored[row] {
			return nil, "the reference scored other rows"
		}
		d[i] = v.l[i] - float64(r.Tok.Logprob[row])
	}
	return d, ""
}

func buildWBC(name string, arg []string) (fn, error) {
	sizes := []int{2, 3, 4, 5, 8, 11, 15, 21, 29, 40} // round(2*20^(j/9)), j = 0..9
	full := "wbc"
	if len(arg) == 1 && arg[0] == "cfg" {
		sizes, full = []int{2, 3, 4, 6, 9, 13, 18, 25, 32, 40}, "wbc:cfg"
	}
	return fn{full, NeedRows | NeedRef | NeedRefRows, func(in *Item) (float64, int, string) {
		d, st := in.gains()
		if st != "" {
			return 0, 1, st
		}
		total, n := 0.0, 0.0
		for _, w := range sizes {
			if w > len(d) {
				break
			}
			s, up := 0.0, 0.0
			for i, x := range d {
				s += x
				if i >= w {
					s -= d[i-w]
				}
				if i >= w-1 && s > 0 {
					up++
				}
			}
			total += up / float64(len(d)-w+1)
			n++
		}
		if n == 0 {
			return 0, 1, "fewer than 2 rows"
		}
		return total / n, 1, ""
	}}, plainOnly(name, arg, "cfg")
}

func buildEZ(name string, arg []string) (fn, error) {
	return fn{"ez", NeedRows | NeedRef | NeedRefRows, func(in *Item) (float64, int, string) {
		if in.Tok.ArgmaxID == nil || in.Tok.ID == nil {
			return 0, 1, "token ids missing"
		}
		d, st := in.gains()
		if st != "" {
			return 0, 1, st
		}
		var p, n float64
		none := true
		for i, r := range in.rows().rows {
			if in.Tok.ArgmaxID[r] == in.Tok.ID[r] {
				continue
			}
			none = false
			if d[i] > 0 {
				p += d[i]
			} else {
				n -= d[i]
			}
		}
		switch {
		case none:
			return 1, 1, ""
		case p+n == 0:
			return .5, 1, ""
		}
		return p / (p + n), 1, ""
	}}, plainOnly(name, arg)
}
