package aqi

import (
	"slices"
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/latent"
)

// Version is raised whenever any number of the test can change.
const Version = 1

// Options of Run and Delta. Default() is the pre-registered analysis. The names
// in JSON are those of the long flags, with _ for -.
type Options struct {
	Groups   []string `json:"groups"`    // labels to compare; nil = all of the file
	NoStrata bool     `json:"no_strata"` // ignore the file's strata
	Space
	Infer
	Paper
	Indices []string `json:"indices"`     // of Indices(); nil = all
	Folds   int      `json:"probe_folds"` // of the probe, outer and inner
	Side    `json:"-"`
	Seed    uint64 `json:"seed"`
	Workers int    `json:"-"` // 0 = one per core; changes no number

	// Progress, if not nil, is called after every layer with the layers done since
	// the last call; Steps tells how many there will be.
	Progress func(layers int64) `json:"-"`
}

// Steps is how many layers Progress will be told of.
func Steps(s latent.States, o Options) int64 {
	in := s.Info()
	v, err := in.View(o.View)
	if err != nil {
		return 0
	}
	ks, err := in.Views[v].Pick(o.Layers)
	if err != nil {
		return 0
	}
	return int64(len(ks)) + 1
}

func (o Options) step() {
	if o.Progress != nil {
		o.Progress(1)
	}
}

// Space chooses the vectors.
type Space struct {
	View    string    `json:"view"`          // "" = resid_post.mean
	Layers  string    `json:"layers"`        // all | 0,8,16 | 25%,last
	Pool    string    `json:"layer_pool"`    // uniform | none | mean:8-24 | fixed | learned:softmax,sparsemax,entmax15
	Weights []float64 `json:"layer_weights"` // of the layers in the pool, for fixed
	Scale   string    `json:"layer_scale"`   // spread | none
	Post    string    `json:"post"`          // none | l2 | zscore | center+l2 | abtt:K | whiten
}

// Infer sets interval and randomisation.
type Infer struct {
	Draws int     `json:"perm"`  // 9999; p cannot fall below 1/(draws+1)
	Level float64 `json:"level"` // .95
	Exact bool    `json:"exact"` // distances of all rows even beyond 4096
}

// Paper sets the published forms.
type Paper struct {
	Lambda float64 `json:"lambda"` // .5
	Compat string  `json:"compat"` // none | sklearn | aqi-eval
	Gamma  float64 `json:"gamma"`  // .5, aqi-eval only
}

// Side is what the states file does not hold.
type Side struct {
	Items      []Item
	Assignment *Assignment
}

// Item is a document's text and source, by id; empty = not known.
type Item struct{ ID, Text, Source string }

// Assignment says which label the auditor drew for which document. It reproduces
// the labels or the run fails.
type Assignment struct {
	Digest string            // of the file, for the result
	Labels map[string]string // id -> label
}

// Indices lists the indices in the order of the tables.
func Indices() []string {
	return []string{"r2", "xbi", "chi", "dbs", "dunn", "silhouette", "probe"}
}

// Default returns the pre-registered analysis.
func Default() Options {
	return Options{
		Space: Space{Layers: "all", Pool: "uniform", Scale: "spread", Post: "none"},
		Infer: Infer{Draws: 9999, Level: .95},
		Paper: Paper{Lambda: .5, Compat: "none", Gamma: .5},
		Folds: 5, Seed: 1,
	}
}

// Validate reports the first option out of range.
func (o Options) Validate() error {
	in := func(v float64) bool { return v >= 0 && v <= 1 }
	switch {
	case o.Infer.Draws < 99:
		return fault.Usagef("aqi: perm: %d, want at least 99", o.Infer.Draws)
	case !(o.Infer.Level > .5 && o.Infer.Level < 1):
		return fault.Usagef("aqi: level: %v, want between .5 and 1", o.Infer.Level)
	case !in(o.Paper.Lambda):
		return fault.Usagef("aqi: lambda: %v, want 0 to 1", o.Paper.Lambda)
	case !in(o.Paper.Gamma):
		return fault.Usagef("aqi: gamma: %v, want 0 to 1", o.Paper.Gamma)
	case o.Folds < 2:
		return fault.Usagef("aqi: probe-folds: %d, want at least 2", o.Folds)
	case !slices.Contains([]string{"", "none", "sklearn", "aqi-eval"}, o.Paper.Compat):
		return fault.Usagef("aqi: compat: %q, want none, sklearn or aqi-eval", o.Paper.Compat)
	case !slices.Contains([]string{"", "spread", "none"}, o.Space.Scale):
		return fault.Usagef("aqi: layer-scale: %q, want spread or none", o.Space.Scale)
	}
	for _, i := range o.Indices {
		if !slices.Contains(Indices(), i) {
			return fault.Usagef("aqi: index %q: unknown, want one of %s", i, strings.Join(Indices(), ", "))
		}
	}
	if _, err := parsePost(o.Space.Post); err != nil {
		return err
	}
	_, err := parsePool(o.Space.Pool)
	return err
}

func (o Options) wants(index string) bool {
	return len(o.Indices) == 0 || slices.Contains(o.Indices, index)
}

// post is a step between pooling over tokens and statistics.
type post struct {
	name string
	k    int // directions removed by abtt
}

func parsePost(s string) (post, error) {
	name, arg, has := strings.Cut(s, ":")
	switch name {
	case "":
		return post{name: "none"}, nil
	case "none", "l2", "zscore", "center+l2", "whiten":
		if !has {
			return post{name: name}, nil
		}
	case "abtt":
		if k, err := strconv.Atoi(arg); err == nil && k >= 1 && k <= 64 {
			return post{name: name, k: k}, nil
		}
	}
	return post{}, fault.Usagef("aqi: post: %q, want none, l2, zscore, center+l2, abtt:K (1 to 64) or whiten", s)
}

// pool is how layers are combined into the headline vector.
type pool struct {
	kind   string // uniform, none, mean, fixed, learned
	lo, hi int    // layers of mean
	maps   []string
}

func parsePool(s string) (pool, error) {
	kind, arg, has := strings.Cut(s, ":")
	switch kind {
	case "", "uniform":
		if !has {
			return pool{kind: "uniform"}, nil
		}
	case "none", "fixed":
		if !has || kind == "fixed" {
			return pool{kind: kind}, nil
		}
	case "mean":
		lo, hi, ok := strings.Cut(arg, "-")
		l, err1 := strconv.Atoi(lo)
		h, err2 := strconv.Atoi(hi)
		if ok && err1 == nil && err2 == nil && l <= h {
			return pool{kind: kind, lo: l, hi: h}, nil
		}
	case "learned":
		p := pool{kind: kind, maps: strings.Split(arg, ",")}
		if !has {
			p.maps = []string{"softmax"}
		}
		bad := slices.ContainsFunc(p.maps, func(m string) bool { return simplexMap(m) == nil })
		if !bad {
			return p, nil
		}
	}
	return pool{}, fault.Usagef("aqi: layer-pool: %q, want uniform, none, mean:LO-HI, fixed:FILE or learned:softmax,sparsemax,entmax15", s)
}
