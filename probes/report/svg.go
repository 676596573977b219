package report

import (
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"assay/internal/visible"
)

// What of a figure's SVG is kept: shapes and text. Everything else (scripts, links,
// images, styles, foreign content) is dropped with all that it holds.
var (
	svgElements = []string{"svg", "g", "path", "text", "rect", "circle", "line", "polyline", "polygon"}
	svgGeometry = []string{"d", "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "width", "height", "points", "transform", "viewBox", "text-anchor"}
	svgStyles   = []string{"fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-dashoffset", "stroke-linecap", "stroke-linejoin",
		"fill-opacity", "stroke-opacity", "font-size", "font-weight", "font-style"}
	svgValue = regexp.MustCompile(`^[-+0-9a-zA-Z.,%# ()]*$`)
	colour   = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)
)

// Figures are laid out in a narrow serif font that they do not carry; at this share
// of its size the page's own, wider font fits the same places.
const fontScale = 0.86

// errNoFigure: the bytes are no SVG that this package draws.
var errNoFigure = errors.New("report: not a figure")

// inline rewrites an SVG file for a page: only shapes and text, colours of the
// palette, a name and a description for screen readers. id must be unique.
func inline(svg []byte, id, title, description string) (string, error) {
	d := xml.NewDecoder(strings.NewReader(string(svg)))
	d.Strict = true
	var b strings.Builder
	depth, skip := 0, 0
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", fmt.Errorf("%w: %w", errNoFigure, err)
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if skip > 0 || !slices.Contains(svgElements, t.Name.Local) || (depth == 0) != (t.Name.Local == "svg") {
				skip++
				continue
			}
			open(&b, t, depth == 0, id, title, description)
			depth++
		case xml.EndElement:
			if skip > 0 {
				skip--
				continue
			}
			fmt.Fprintf(&b, "</%s>", t.Name.Local)
			depth--
		case xml.CharData:
			if skip == 0 && depth > 0 && strings.TrimSpace(string(t)) != "" {
				b.WriteString(html.EscapeString(visible.Text(string(t), maxShown)))
			}
		}
	}
	if b.Len() == 0 || depth != 0 {
		return "", errNoFigure
	}
	return b.String(), nil
}

func open(b *strings.Builder, t xml.StartElement, root bool, id, title, description string) {
	fmt.Fprintf(b, "<%s", t.Name.Local)
	for _, a := range t.Attr {
		name := a.Name.Local
		switch {
		case root && name != "viewBox": // the page sets the size
		case slices.Contains(svgGeometry, name) && svgValue.MatchString(a.Value):
			fmt.Fprintf(b, ` %s="%s"`, name, a.Value)
		case name == "style":
			if s := style(a.Value); s != "" {
				fmt.Fprintf(b, ` style="%s"`, s)
			}
		case slices.Contains(svgStyles, name):
			if s := style(name + ":" + a.Value); s != "" {
				fmt.Fprintf(b, ` style="%s"`, s)
			}
		}
	}
	if !root {
		b.WriteString(">")
		return
	}
	fmt.Fprintf(b, ` role="img" aria-labelledby="%[1]s-t %[1]s-d"><title id="%[1]s-t">%[2]s</title><desc id="%[1]s-d">%[3]s</desc>`,
		id, html.EscapeString(visible.Text(title, maxShown)), html.EscapeString(visible.Text(description, maxShown)))
}

// style keeps known properties with plain values; colours become variables.
func style(s string) string {
	var out []string
	for part := range strings.SplitSeq(s, ";") {
		name, value, ok := strings.Cut(part, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || !slices.Contains(svgStyles, name) || !svgValue.MatchString(value) || strings.Contains(strings.ToLower(value), "url") {
			continue
		}
		if px, ok := strings.CutSuffix(value, "px"); ok && name == "font-size" {
			if n, err := strconv.ParseFloat(px, 64); err == nil {
				value = strconv.FormatFloat(n*fontScale, 'g', 3, 64) + "px"
			}
		}
		if colour.MatchString(value) {
			v, known := figureColours()[strings.ToLower(value)]
			if !known {
				v = "ink"
			}
			value = "var(--" + v + ")"
		}
		out = append(out, name+":"+value)
	}
	return strings.Join(out, ";")
}
