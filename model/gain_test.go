package model

import "testing"

// TestFinalGain: the gain is the stored tensor, plus one where the family says so.
func TestFinalGain(t *testing.T) {
	for _, c := range []struct {
		name, tensor string
		plus         float32
	}{{"llama-mha", "model.norm.weight", 0}, {"gemma", "model.norm.weight", 1}, {"gpt2", "ln_f.weight", 0}} {
		m := loadReference(t, c.name, Options{BatchTokens: 64})
		got, err := m.FinalGain()
		if err != nil {
			t.Fatal(err)
		}
		want := make([]float32, m.spec.Width)
		if err := openReference(t, c.name).F32(c.tensor, want); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Fatalf("%s: %d gains, want %d", c.name, len(got), len(want))
		}
		for i := range want {
			if got[i] != want[i]+c.plus {
				t.Fatalf("%s: gain %d: %v, want %v", c.name, i, got[i], want[i]+c.plus)
			}
		}
	}
	if g, err := loadReference(t, "olmo", Options{BatchTokens: 64}).FinalGain(); g != nil || err != nil {
		t.Errorf("olmo has no gain: %v, %v", g, err)
	}
}
