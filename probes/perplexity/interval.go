package perplexity

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"assay/internal/fault"
	"assay/probes"
	"assay/probes/stat"
)

// Interval methods.
const (
	Jackknife  = "jackknife"  // delete one unit; Student's t on the log scale
	Percentile = "percentile" // bootstrap of whole units
	BCa        = "bca"        // the same, bias-corrected and accelerated
	None       = "none"
)

// Options of Run and Compare. The zero value takes jackknife intervals at 95 %.
type Options struct {
	CI     string  // Jackknife (default), Percentile, BCa or None
	Level  float64 // 0 = .95
	By     string  // "", "group" or "ctx"
	Cover  string  // "document" (default) or "scored": which bytes bits per byte divide by
	B      int     // bootstrap replicates and sign flips; 0 = 9,999
	Seed   uint64
	Pseudo bool             // the rows are masked-model scores, not a chain-rule probability
	Inputs []probes.Input   // passed through to the result
	Extra  []probes.Warning // of the scoring: eos-as-prefix, bytes-dropped, ...
}

func (o Options) withDefaults() Options {
	if o.CI == "" {
		o.CI = Jackknife
	}
	if o.Level == 0 {
		o.Level = .95
	}
	if o.Cover == "" {
		o.Cover = "document"
	}
	if o.B == 0 {
		o.B = 9999
	}
	return o
}

// Validate returns a usage error.
func (o Options) Validate() error {
	switch o.CI {
	case "", Jackknife, Percentile, BCa, None:
	default:
		return fault.Usagef("perplexity: ci: found %q, want jackknife, percentile, bca or none", o.CI)
	}
	switch o.By {
	case "", "group", "ctx":
	default:
		return fault.Usagef("perplexity: by: found %q, want group or ctx", o.By)
	}
	switch o.Cover {
	case "", "document", "scored":
	default:
		return fault.Usagef("perplexity: cover: found %q, want document or scored", o.Cover)
	}
	if o.Level != 0 && !(o.Level > 0 && o.Level < 1) {
		return fault.Usagef("perplexity: level: found %v, want a number in (0, 1)", o.Level)
	}
	if o.B < 0 {
		return fault.Usagef("perplexity: replicates: found %d, want at least 1", o.B)
	}
	return nil
}

// clusters numbers the units of resampling: the group when a document has one,
// else the document; documents of one text always share a unit. The usual case,
// every document its own unit, costs one sort of 8-byte keys.
func clusters(units []Unit) (of []int32, n int, duplicates int) {
	of = make([]int32, len(units))
	grouped := false
	keys := make([]uint64, 0, len(units))
	for i, u := range units {
		of[i] = int32(i)
		grouped = grouped || u.Group != ""
		if u.SHA256 != ([32]byte{}) { // zero: built by hand, without a digest
			keys = append(keys, binary.LittleEndian.Uint64(u.SHA256[:]))
		}
	}
	slices.Sort(keys)
	if distinct := len(slices.Compact(keys)) == len(keys); distinct && !grouped {
		return of, len(units), 0
	}
	return unite(units)
}

// unite is clusters by union and find.
func unite(units []Unit) (of []int32, n int, duplicates int) {
	parent := make([]int32, len(units))
	for i := range parent {
		parent[i] = int32(i)
	}
	find := func(i int32) int32 {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	group := make(map[string]int32)
	text := make(map[[32]byte]int32, len(units))
	for k, u := range units {
		i := int32(k)
		if u.Group != "" {
			if j, ok := group[u.Group]; ok {
				parent[find(i)] = find(j)
			} else {
				group[u.Group] = i
			}
		}
		if u.SHA256 == ([32]byte{}) {
			continue
		}
		if j, ok := text[u.SHA256]; ok {
			duplicates++
			parent[find(i)] = find(j)
		} else {
			text[u.SHA256] = i
		}
	}
	of = make([]int32, len(units))
	number := make(map[int32]int32)
	for i := range units {
		r := find(int32(i))
		c, ok := number[r]
		if !ok {
			c = int32(len(number))
			number[r] = c
		}
		of[i] = c
	}
	return of, len(number), duplicates
}

// ratio is a figure with its resampling units.
type ratio struct {
	a, u  []float64
	what  string  // "documents", "groups", "blocks"
	scale float64 // theta of these units times scale is the figure: 1, except for blocks
}

// gather sums a and u over clusters.
// A nil of makes every document its own cluster.
func gather(use *pool, of []int32, n int, a, u func(*Unit) float64, what string) ratio {
	r := ratio{a: make([]float64, n), u: make([]float64, n), what: what, scale: 1}
	for i := range use.len() {
		k, x := i, use.at(i)
		if of != nil {
			k = int(of[i])
		}
		r.a[k] += a(x)
		r.u[k] += u(x)
	}
	return r
}

const wantBlocks, fewestBlocks = 20, 5

// blocks joins consecutive windows into 20 blocks of nearly equal token count.
func blocks(ws []Block) []Block {
	total := 0.0
	for _, w := range ws {
		total += w.Tokens
	}
	var out []Block
	done := 0.0
	for _, w := range ws {
		if len(out) == 0 || (done >= total*float64(len(out))/wantBlocks && len(out) < wantBlocks) {
			out = append(out, Block{})
		}
		b := &out[len(out)-1]
		b.Nats += w.Nats
		b.Tokens += w.Tokens
		done += w.Tokens
	}
	return out
}

// interval returns theta, its standard error (NaN unless jackknife can give one)
// and its limits on the nats scale.
func (r ratio) interval(o Options) (theta, se float64, ci *probes.CI, method string) {
	theta, se = stat.JackknifeRatio(r.a, r.u)
	theta, se = theta*r.scale, se*r.scale
	d := len(r.a)
	if o.CI == None || d < 2 || r.what == "blocks" && d < fewestBlocks || math.IsNaN(theta) {
		return theta, se, nil, ""
	}
	switch o.CI {
	case Jackknife:
		h := stat.StudentQuantile((1+o.Level)/2, float64(d-1)) * se
		ci = &probes.CI{Lo: theta - h, Hi: theta + h, Level: o.Level}
		method = fmt.Sprintf("jackknife over %d %s", d, r.what)
	default:
		lo, hi := stat.BootstrapRatio(r.a, r.u, stat.Boot{B: o.B, Seed: o.Seed, Stream: "perplexity", Level: o.Level, BCa: o.CI == BCa})
		ci = &probes.CI{Lo: lo * r.scale, Hi: hi * r.scale, Level: o.Level}
		method = fmt.Sprintf("%s bootstrap of %d %s, %d replicates", o.CI, d, r.what, o.B)
	}
	if math.IsNaN(ci.Lo) || math.IsNaN(ci.Hi) {
		return theta, se, nil, method
	}
	return theta, se, ci, method
}
