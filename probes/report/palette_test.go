package report

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// contrast is the ratio of WCAG 2: (L1+0.05)/(L2+0.05) of relative luminances.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	lum := func(s string) float64 {
		var l float64
		for i, k := range []float64{.2126, .7152, .0722} {
			n, err := strconv.ParseUint(s[1+2*i:3+2*i], 16, 8)
			if err != nil {
				t.Fatal(err)
			}
			c := float64(n) / 255
			if c <= .04045 {
				c /= 12.92
			} else {
				c = math.Pow((c+.055)/1.055, 2.4)
			}
			l += k * c
		}
		return l
	}
	x, y := lum(a), lum(b)
	return (max(x, y) + .05) / (min(x, y) + .05)
}

// Reference values: the formula of WCAG 2 computed with Python 3.
func TestContrastFormula(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want float64
	}{{"#595959", "#ffffff", 7.0047}, {"#777777", "#ffffff", 4.4781}, {"#e6e6e6", "#121212", 15.0101}, {"#e69f00", "#ffffff", 2.2523}} {
		if got := contrast(t, c.a, c.b); math.Abs(got-c.want) > 1e-3 {
			t.Errorf("%s on %s: %.4f, want %.4f", c.a, c.b, got, c.want)
		}
	}
}

func TestEveryPair(t *testing.T) {
	light, dark := map[string]string{}, map[string]string{}
	for _, s := range palette() {
		light[s.name], dark[s.name] = s.light, s.dark
	}
	for _, p := range pairs() {
		for scheme, colours := range map[string]map[string]string{"light": light, "dark": dark} {
			if got := contrast(t, colours[p.front], colours[p.back]); got < p.min {
				t.Errorf("%s: %s on %s: contrast %.2f, want %g", scheme, p.front, p.back, got, p.min)
			}
		}
	}
	for c, v := range figureColours() {
		if light[v] == "" {
			t.Errorf("figure colour %s becomes %q, which the palette has not", c, v)
		}
	}
}

// Colours come from the palette alone, so that TestEveryPair sees all of them.
func TestStyleSheet(t *testing.T) {
	if m := regexp.MustCompile(`#[0-9a-fA-F]{3,8}\b|rgb|hsl`).FindAllString(css, -1); m != nil {
		t.Errorf("page.css has colours of its own: %v", m)
	}
	for _, bad := range []string{"url(", "@import", "http"} {
		if strings.Contains(css, bad) {
			t.Errorf("page.css holds %q", bad)
		}
	}
	defined := variables()
	for _, v := range regexp.MustCompile(`var\(--([a-z0-9-]+)\)`).FindAllStringSubmatch(css, -1) {
		if !strings.Contains(defined, "--"+v[1]+":") {
			t.Errorf("page.css uses --%s, which the palette has not", v[1])
		}
	}
}
