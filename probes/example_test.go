package probes_test

import (
	"fmt"
	"log"

	"assay/probes"
)

// A result is the same in Go and JSON; p is authoritative as log10 p, because p
// itself underflows to 0 below 1e-308 and then is null.
func ExampleResult_JSON() {
	r := probes.Result{
		Schema: probes.Schema, Test: "toy", Version: 1,
		P:       []probes.PValue{{Name: "exact", Log10P: -400, Method: "counting", Null: "every order is equally likely"}},
		Verdict: probes.Verdict{Tier: probes.TierA, Finding: "dependence", Says: "it depends", DoesNotSay: "why"},
		Seconds: 1.5, Seed: 1,
	}
	b, err := r.JSON()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(b))
	// Output:
	// {
	//   "schema": "assay.result/1",
	//   "test": "toy",
	//   "version": 1,
	//   "inputs": null,
	//   "settings": null,
	//   "n": null,
	//   "estimates": null,
	//   "p": [
	//     {
	//       "name": "exact",
	//       "log10_p": -400,
	//       "p": null,
	//       "method": "counting",
	//       "null": "every order is equally likely"
	//     }
	//   ],
	//   "verdict": {
	//     "tier": "A",
	//     "finding": "dependence",
	//     "says": "it depends",
	//     "does_not_say": "why"
	//   },
	//   "warnings": null,
	//   "seed": 1
	// }
}
