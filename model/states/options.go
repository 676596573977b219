package states

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/model"
	"assay/model/score"
	"assay/model/states/items"
	"assay/model/trace"
	"assay/model/trace/window"
)

// Input is a sequence of documents that can be read more than once.
// *items.Source satisfies it.
type Input interface {
	Items() iter.Seq2[items.Item, error]
	Len() int
}

// Taps says which taps a checkpoint has. *model.Spec satisfies it.
type Taps interface {
	TapLayers(name string) (layers []int, width int, err error)
	// Encoder reports whether inputs see what follows them. Such a checkpoint is
	// fed a document whole, with the ids that the template puts behind it.
	Encoder() bool
}

// Options decide the numbers and what is kept. The zero value takes resid_post at
// all layers, mean over the text, policy full.
type Options struct {
	Taps   []string
	Layers string // all (default), or a list of numbers, percentages of the last layer, and last
	Pools  []string
	Span   string

	Policy    window.Policy // as asked; Prepare settles it
	Positions int           // the model's; 0 = no limit
	Encoder   score.Encoder // nil when the input is ids
	Of        trace.Identity

	// Strata are names of columns and lenbin:N; nil takes topic where there is
	// one. Extra names the columns among them, in the order of items.Item.Extra.
	Strata []string
	Extra  []string
	Label  string // name of the label column, for the header

	Keep          string // all, none, a list of layers, or "" for all up to 4 GiB
	Sample, Cells int
	BF16          bool
	Seed          uint64
	Template      string      // digest of the chat template that the documents are in; "" = none
	Sameness      bool        // with the statistics of tokens: mean cosine of pairs of positions inside each document
	NoStats       bool        // leave out statistics of tokens
	Project       *Directions // store projections on these instead of rows; nil = rows
	Lens          int         // positions that the lens reads; 0 = no lens
	From, To      int         // documents of a shard; both 0 = all
}

// StrataColumns returns the columns that strata need beside topic and source.
func StrataColumns(strata []string) []string {
	var out []string
	for _, s := range strata {
		if s != "topic" && s != "source" && s != "none" && !strings.HasPrefix(s, "lenbin:") && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func (o *Options) withDefaults() {
	if len(o.Taps) == 0 {
		o.Taps = []string{model.TapResidPost}
	}
	if len(o.Pools) == 0 {
		o.Pools = []string{"mean"}
	}
	if o.Span == "" {
		o.Span = SpanText
	}
	if o.Policy.Name == "" {
		o.Policy.Name = "full"
	}
}

// views are the taps and pools that are asked for, tap by tap.
func (o *Options) views(taps Taps) (views []trace.View, pools []*pool, err error) {
	if !slices.Contains(Spans(), o.Span) {
		return nil, nil, fault.Usagef("states: span %q: unknown, want one of %s", o.Span, strings.Join(Spans(), ", "))
	}
	var ps []*pool
	for _, name := range o.Pools {
		p, err := parsePool(name)
		if err != nil {
			return nil, nil, err
		}
		ps = append(ps, p)
	}
	for _, tap := range o.Taps {
		have, width, err := taps.TapLayers(tap)
		if err != nil {
			return nil, nil, err
		}
		layers := have
		if len(have) > 1 { // a tap of one layer is taken at it, whatever the list
			if layers, err = parseLayers(o.Layers, have); err != nil {
				return nil, nil, fault.Usagef("states: tap %s: %w", tap, err)
			}
		}
		for _, p := range ps {
			views = append(views, trace.View{Tap: tap, Pool: p.name, Span: o.Span, Layers: layers, Width: width})
			pools = append(pools, p)
		}
	}
	return views, pools, nil
}

// parseLayers resolves a list of layers; percentages are of the last layer, rounded
// half up.
func parseLayers(list string, have []int) ([]int, error) {
	if list == "" || list == "all" {
		return have, nil
	}
	top := have[len(have)-1]
	var out []int
	for _, f := range strings.Split(list, ",") {
		f = strings.TrimSpace(f)
		l, err := strconv.Atoi(f)
		if f == "last" {
			l, err = top, nil
		} else if p, percent := strings.CutSuffix(f, "%"); percent {
			var x float64
			if x, err = strconv.ParseFloat(p, 64); !(x >= 0 && x <= 100) {
				err = fmt.Errorf("out of range")
			}
			l = int(math.Floor(x/100*float64(top) + .5))
		}
		if err != nil || !slices.Contains(have, l) {
			return nil, fmt.Errorf("layer %q: want all, last, a percentage, or %d to %d", f, have[0], top)
		}
		if !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	slices.Sort(out)
	return out, nil
}

// keep resolves which layers' rows are kept; nil leaves it to the plan.
func (o *Options) keep(views []trace.View) ([]int, error) {
	var all []int
	for _, v := range views {
		all = append(all, v.Layers...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	switch o.Keep {
	case "":
		return nil, nil
	case "none":
		return []int{}, nil
	}
	k, err := parseLayers(o.Keep, all)
	if err != nil {
		return nil, fault.Usagef("states: keep: %w", err)
	}
	return k, nil
}
