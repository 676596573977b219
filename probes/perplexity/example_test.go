package perplexity_test

import (
	"fmt"

	"assay/probes/perplexity"
)

func Example() {
	s := perplexity.Sample{Tokenizer: "sha256:0123456789abcdef"}
	s.Policy.Name = "full"
	for i, nats := range []float64{120, 80, 200, 50, 150} {
		s.Units = append(s.Units, perplexity.Unit{
			ID: fmt.Sprint("doc", i), Nats: nats, Squares: 2 * nats, Tokens: []float64{100, 60, 180, 60, 100}[i],
			Total: 200, Words: 80, Pieces: 80, Bytes: 400, Chars: 400,
		})
	}
	r, err := perplexity.Run(s, perplexity.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range r.Estimates[:2] {
		fmt.Printf("%s %.3f [%.3f, %.3f] %s\n", e.Name, *e.Value, e.CI.Lo, e.CI.Hi, e.Unit)
	}
	// Output:
	// nll_token 1.200 [0.940, 1.460] nats/token
	// ppl_token 3.320 [2.560, 4.305] 1
}
