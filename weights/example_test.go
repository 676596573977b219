package weights_test

import (
	"context"
	"fmt"

	"assay/weights"
)

func Example() {
	c, err := weights.Open("../testdata/reference/llama-llama3")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	conf := c.Config()
	heads, positions := conf.Int("num_attention_heads"), conf.Int("max_position_embeddings")
	rope := conf.RoPE(weights.RoPEDefaults{Theta: 10000, MaxPositions: positions})
	fmt.Println(conf.String("model_type"), heads, rope.Type, rope.Theta, conf.Err())

	info, _ := c.Info("model.norm.weight")
	gain := make([]float32, info.Len())
	fmt.Println(info.DType, info.Shape, c.F32(info.Name, gain))

	d, err := c.Scan(context.Background())
	fmt.Println(d.Weights[:23], d.DType, d.Vocab, err)
	// Output:
	// llama 4 llama3 100000 <nil>
	// BF16 [64] <nil>
	// sha256:2354240e7066a9c0 BF16 352 <nil>
}

func ExampleConfig_Unknown() {
	c, err := weights.ParseConfig("config.json", []byte(`{"hidden_size": 64, "use_cache": true, "logit_scale": 0.5, "mup": false}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	c.Int("hidden_size")
	c.FloatOr("rms_norm_eps", 1e-6)
	fmt.Println(c.Used(), c.Defaulted(), c.Unknown("use_cache"))
	// Output: [hidden_size] [{rms_norm_eps 1e-06}] [{logit_scale 0.5}]
}
