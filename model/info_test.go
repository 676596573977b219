package model

import (
	"math"
	"testing"

	"assay/weights"
)

// TestInfo: sizes of reference checkpoints, counted from their configurations by hand.
func TestInfo(t *testing.T) {
	for _, c := range []struct {
		name               string
		params, embedding  int64
		layers, pos, vocab int
		rope               string
		tied               bool
	}{
		// 520*48*2 + 3 (48*144+144 + 48*48+48 + 48*132+132 + 132*48+48 + 4*48) + 2*48
		{"gpt_neox-parallel", 117372, 49920, 3, 160, 520, "", false},
		// 352*64 + 2 (64*64 + 2*64*32 + 64*64 + 3*64*116 + 2*64) + 64
		{"llama-llama3", 91968, 22528, 2, 160, 352, "llama3, factor 8 over 64 positions", true},
		{"llama-linear-bias", 0, 0, 2, 160, 320, "linear, factor 2.5", false},
		{"llama-yarn", 0, 0, 2, 160, 337, "yarn, factor 4 over 40 positions", false},
	} {
		d, err := Describe(openReference(t, c.name))
		if err != nil {
			t.Fatal(err)
		}
		i := d.Info
		if c.params != 0 && (i.Params != c.params || i.Params-i.Body != c.embedding) {
			t.Errorf("%s: %d weights, %d of them embeddings; want %d, %d", c.name, i.Params, i.Params-i.Body, c.params, c.embedding)
		}
		if i.Layers != c.layers || i.Positions != c.pos || i.Vocab != c.vocab || i.RoPE != c.rope || i.Tied != c.tied {
			t.Errorf("%s: %+v", c.name, i)
		}
	}
}

// TestFLOP: 12 layers, d 768, V 50304, P 85056000, T 512: 266253312 per token
// (the worked figure of the forecast formula 2P + 2Vd + 4LdT).
func TestFLOP(t *testing.T) {
	src, err := Synthetic([]byte(Shapes()["gpt_neox-160m"]), 1)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Describe(src)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Info.FLOP(512); math.Abs(got-266253312) > 1e-3 {
		t.Errorf("FLOP(512) = %v with a body of %d weights, want 266253312", got, d.Info.Body)
	}
}

// TestConfigDigest: the digest is of the mathematics. Two ways of writing the
// same rotary settings, a default written out and keys that do nothing keep it;
// any number that is read moves it.
func TestConfigDigest(t *testing.T) {
	digest := func(text string) string {
		t.Helper()
		cfg, err := weights.ParseConfig("config.json", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		_, s, err := resolve(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		d, err := s.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	const base = `"model_type":"llama","vocab_size":320,"hidden_size":48,"num_hidden_layers":2,"num_attention_heads":4,"intermediate_size":100`
	want := digest(`{` + base + `,"rope_theta":5000.0,"rope_scaling":{"type":"linear","factor":2.5}}`)
	for name, same := range map[string]string{
		"current style": `,"rope_parameters":{"rope_type":"linear","factor":2.5,"rope_theta":5e3}`,
		"defaults":      `,"rope_theta":5000,"rope_scaling":{"rope_type":"linear","factor":2.50},"rms_norm_eps":1e-06,"num_key_value_heads":4,"head_dim":12,"tie_word_embeddings":false,"use_cache":true,"torch_dtype":"bfloat16"`,
	} {
		if got := digest(`{` + base + same + `}`); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for name, other := range map[string]string{
		"theta": `,"rope_theta":5001,"rope_scaling":{"type":"linear","factor":2.5}`,
		"type":  `,"rope_theta":5000`,
		"eps":   `,"rope_theta":5000,"rope_scaling":{"type":"linear","factor":2.5},"rms_norm_eps":2e-6`,
		"tied":  `,"rope_theta":5000,"rope_scaling":{"type":"linear","factor":2.5},"tie_word_embeddings":true`,
	} {
		if digest(`{`+base+other+`}`) == want {
			t.Errorf("%s: the digest does not move", name)
		}
	}
}
