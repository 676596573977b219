package weights

import "testing"

func TestConfigRaw(t *testing.T) {
	c := parse(t, `{"a": [[["x"], 2]], "n": null, "s": "t"}`)
	for _, tc := range []struct {
		key, want string
		ok        bool
	}{{"a", `[[["x"], 2]]`, true}, {"n", "", false}, {"none", "", false}, {"s", `"t"`, true}} {
		if got, ok := c.Raw(tc.key); string(got) != tc.want || ok != tc.ok {
			t.Errorf("Raw(%q) = %q, %t; want %q, %t", tc.key, got, ok, tc.want, tc.ok)
		}
	}
	if u := c.Unknown(); len(u) != 0 {
		t.Errorf("Raw does not count as reading: %v", u)
	}
	// The caller's copy is its own.
	got, _ := c.Raw("s")
	got[1] = 'x'
	if s := c.String("s"); s != "t" {
		t.Errorf("String after a write to Raw's result = %q, want t", s)
	}
}
