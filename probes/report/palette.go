package report

import (
	"fmt"
	"strings"
)

// shade is one named colour in light and in dark.
type shade struct{ name, light, dark string }

// palette lists every colour of the page and its figures. Series colours keep the
// order of the Okabe-Ito palette, which colour-blind readers tell apart, darkened
// or lightened until they stand out from the page.
func palette() []shade {
	return []shade{
		{"page", "#ffffff", "#121212"},
		{"ink", "#1a1a1a", "#e6e6e6"},
		{"muted", "#555555", "#b3b3b3"},
		{"rule", "#8a8a8a", "#7d7d7d"},
		{"panel", "#f4f4f4", "#1e1e1e"},
		{"band", "#dcdcdc", "#3a3a3a"},
		{"link", "#0b57a4", "#8ab8f0"},
		{"a-back", "#d9efe0", "#123d24"}, {"a-ink", "#0b4a23", "#b8efcb"},
		{"b-back", "#dce8f7", "#12304f"}, {"b-ink", "#0d3a66", "#bcdcff"},
		{"c-back", "#e9e9e9", "#333333"}, {"c-ink", "#3a3a3a", "#dddddd"},
		{"x-back", "#f9dede", "#4c1717"}, {"x-ink", "#7a1212", "#ffc9c9"},
		{"c1", "#0072b2", "#56b4e9"},
		{"c2", "#c04f00", "#ff9a4d"},
		{"c3", "#007f5c", "#3ccb9b"},
		{"c4", "#a8508a", "#e7a3cb"},
		{"c5", "#2a7ab0", "#9ad0f5"},
		{"c6", "#8f6300", "#e69f00"},
	}
}

// pair is a colour on a ground; min is the contrast ratio that WCAG 2 wants: 4.5
// for text, 3 for lines and marks.
type pair struct {
	front, back string
	min         float64
}

// pairs lists every combination that the page shows.
func pairs() []pair {
	out := []pair{{"a-ink", "a-back", 4.5}, {"b-ink", "b-back", 4.5}, {"c-ink", "c-back", 4.5}, {"x-ink", "x-back", 4.5},
		{"rule", "page", 3}, {"ink", "band", 4.5}}
	for _, f := range []string{"ink", "muted", "link"} {
		out = append(out, pair{f, "page", 4.5}, pair{f, "panel", 4.5})
	}
	for i := 1; i <= 6; i++ {
		out = append(out, pair{fmt.Sprintf("c%d", i), "page", 3}, pair{fmt.Sprintf("c%d", i), "panel", 3})
	}
	return out
}

// variables are the palette as CSS: light, and dark where the reader prefers it on
// a screen.
func variables() string {
	var light, dark strings.Builder
	for _, s := range palette() {
		fmt.Fprintf(&light, "--%s:%s;", s.name, s.light)
		fmt.Fprintf(&dark, "--%s:%s;", s.name, s.dark)
	}
	return fmt.Sprintf(":root{color-scheme:light dark;%s}\n@media screen and (prefers-color-scheme:dark){:root{%s}}\n", light.String(), dark.String())
}

// figureColours maps the colours that figures are drawn in to the palette. A figure
// stroke of another colour is drawn in ink.
func figureColours() map[string]string {
	return map[string]string{
		"#ffffff": "page", "#000000": "ink", "#1a1a1a": "ink", "#505050": "ink", "#555555": "muted", "#787878": "muted", "#808080": "muted",
		"#969696": "rule", "#a0a0a0": "rule", "#999999": "rule", "#d7d7d7": "band", "#dcdcdc": "band", "#e6e6e6": "band",
		"#0072b2": "c1", "#d55e00": "c2", "#009e73": "c3", "#cc79a7": "c4", "#56b4e9": "c5", "#e69f00": "c6",
	}
}
