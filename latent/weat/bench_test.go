package weat_test

import (
	"fmt"
	"testing"

	"assay/latent/weat"
	"assay/probes/assoc/perm"
)

// BenchmarkTests runs the ten published tests on GloVe, raw, as one document,
// with and without the bootstrap interval.
func BenchmarkTests(b *testing.B) {
	f := open(b, glove)
	for _, boot := range []int{0, 9999} {
		b.Run(fmt.Sprintf("ten tests, %d resamples", boot), func(b *testing.B) {
			for b.Loop() {
				var jobs []weat.Job
				for id := 1; id <= 10; id++ {
					sc, err := weat.Score(caliskan(b, id), f, loss())
					if err != nil {
						b.Fatal(err)
					}
					jobs = append(jobs, weat.Job{Rep: "file", Variant: weat.Raw, Scores: sc})
				}
				o := weat.DefaultOptions()
				o.Boot = boot
				if _, err := weat.RunAll(jobs, o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkTailCount counts exactly at four sizes of real scores.
func BenchmarkTailCount(b *testing.B) {
	f := open(b, glove)
	for _, id := range []int{9, 8, 2, 3} {
		sc, err := weat.Score(caliskan(b, id), f, loss())
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("test %d, %d+%d", id, len(sc.X), len(sc.Y)), func(b *testing.B) {
			for b.Loop() {
				if _, err := perm.TwoSample(scores(sc.X), scores(sc.Y), perm.Greater, perm.Options{Only: perm.TailCount}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
