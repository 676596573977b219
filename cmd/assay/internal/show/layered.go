package show

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"assay/probes"
)

// Layered writes a result whose estimates are named what@view.layer: the verdict,
// the estimates of no single layer, then tables with one line per layer. Methods
// are left out; Result prints them.
func Layered(w io.Writer, r *probes.Result) error {
	ew := &errWriter{w: w}
	head(ew, r)
	var t grid
	var single [][]string
	for _, e := range r.Estimates {
		if what, layer, ok := atLayer(e.Name, r.Test); ok {
			t.put(what, e.Unit, layer, value(e.Value))
			if e.CI != nil && (!strings.Contains(what, ".") || strings.HasPrefix(what, "delta.")) {
				t.interval(what, layer, fmt.Sprintf("[%.3g, %.3g]", e.CI.Lo, e.CI.Hi))
			}
			continue
		}
		ci := interval(e.CI)
		if e.CI != nil && strings.Contains(e.Method, "not a confidence interval") {
			ci = fmt.Sprintf("[%s, %s] spread", Number(e.CI.Lo), Number(e.CI.Hi))
		}
		single = append(single, []string{e.Name, value(e.Value), e.Unit, ci})
	}
	var ps []probes.PValue
	for _, p := range r.P {
		if what, layer, ok := atLayer(p.Name, r.Test); ok {
			t.put(what+" log10 p", "log10 p", layer, fmt.Sprintf("%.3f", p.Log10P))
			continue
		}
		ps = append(ps, p)
	}
	if len(single) > 0 {
		_ = Columns(ew, append([][]string{{"estimate", "value", "unit", "interval"}}, single...), Width)
	}
	t.write(ew)
	tail(ew, r, ps)
	return ew.err
}

// atLayer splits a name at its layer: aqi.r2@resid_post.mean.16 is r2 at 16. ok
// is false where it names none.
func atLayer(name, test string) (what string, layer int, ok bool) {
	what, at, ok := strings.Cut(name, "@")
	if !ok {
		return "", 0, false
	}
	layer, err := strconv.Atoi(at[strings.LastIndexByte(at, '.')+1:])
	if err != nil {
		return "", 0, false
	}
	if first, rest, has := strings.Cut(what, "."); has && strings.Contains(test, first) {
		what = rest
	}
	return what, layer, true
}

// grid collects figures by layer, both in the order in which they came.
type grid struct {
	names, units []string
	layers       []int
	cell         map[string]string
}

func (g *grid) key(name string, layer int) string { return fmt.Sprint(layer, " ", name) }

func (g *grid) put(name, unit string, layer int, text string) {
	if g.cell == nil {
		g.cell = map[string]string{}
	}
	if !slices.Contains(g.names, name) {
		g.names, g.units = append(g.names, name), append(g.units, unit)
	}
	if !slices.Contains(g.layers, layer) {
		g.layers = append(g.layers, layer)
	}
	g.cell[g.key(name, layer)] = text
}

func (g *grid) interval(name string, layer int, text string) {
	g.cell[g.key(name, layer)] += " " + text
}

// write cuts the figures into tables that fit the width.
func (g *grid) write(ew *errWriter) {
	slices.Sort(g.layers)
	for at := 0; at < len(g.names); {
		end, width := at, 2+len("layer")
		for end < len(g.names) {
			if width += 2 + g.width(end); width > Width && end > at {
				break
			}
			end++
		}
		head, units := []string{"layer"}, []string{""}
		head, units = append(head, g.names[at:end]...), append(units, g.units[at:end]...)
		rows := [][]string{head, units}
		for _, l := range g.layers {
			row, some := []string{strconv.Itoa(l)}, false
			for _, n := range g.names[at:end] {
				c := g.cell[g.key(n, l)]
				row, some = append(row, c), some || c != ""
			}
			if some {
				rows = append(rows, row)
			}
		}
		fmt.Fprintln(ew)
		_ = Table(ew, rows)
		at = end
	}
}

// width is the longest cell of a figure's column.
func (g *grid) width(i int) int {
	most := max(utf8.RuneCountInString(g.names[i]), utf8.RuneCountInString(g.units[i]))
	for _, l := range g.layers {
		most = max(most, utf8.RuneCountInString(g.cell[g.key(g.names[i], l)]))
	}
	return most
}
