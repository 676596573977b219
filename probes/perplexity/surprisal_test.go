package perplexity

import (
	"math"
	"testing"

	"assay/internal/fault"
	"assay/model/trace"
)

// A vocabulary of four: 0 " a", 1 "b", 2 " c", 3 the end. The text " ab a c" is the tokens
// 0 1 0 2 with known rows; the masses of tokens that begin a word are added by hand.
func wordRows(k int) (trace.DocTokens, []byte) {
	text := []byte(" ab a c")
	rows := [][4]float64{{.4, .1, .3, .2}, {.1, .6, .1, .2}, {.5, .2, .2, .1}, {.25, .05, .5, .2}}
	ids := []int32{0, 1, 0, 2}
	d := cut([]int64{2, 3, 5, 7}, 1, 0, func(int64, int64, int32) float64 { return 0 })
	for i, id := range ids {
		d.Tokens.ID = append(d.Tokens.ID, id)
		d.Tokens.Logprob[i] = float32(math.Log(rows[i][id]))
		var top []int32
		var lp []float32
		left := rows[i]
		for range k {
			best := 0
			for j, p := range left {
				if p > left[best] {
					best = j
				}
			}
			top, lp = append(top, int32(best)), append(lp, float32(math.Log(rows[i][best])))
			left[best] = -1
		}
		d.Tokens.TopID, d.Tokens.TopLogprob = append(d.Tokens.TopID, top), append(d.Tokens.TopLogprob, lp)
	}
	return d, text
}

func initial(id int32) bool { return id != 1 }

func TestCorrect(t *testing.T) {
	d, text := wordRows(4)
	ws, err := Words(d, text)
	if err != nil || len(ws) != 3 {
		t.Fatalf("%d words, %v", len(ws), err)
	}
	if err := Correct(d, ws, initial); err != nil {
		t.Fatal(err)
	}
	// "ab": .4 .6 x M(row 2) / M(row 0) = .24 x .8 / .9; "a": .5 x .95 / .8.
	for i, want := range []float64{.24 * .8 / .9, .5 * .95 / .8} {
		c := ws[i].Corrected
		near(t, "low", c[0], -math.Log2(want), 1e-6)
		near(t, "high", c[1], -math.Log2(want), 1e-6)
	}
	if ws[2].Corrected != nil {
		t.Error("the last word has no row after it")
	}
	// With two of four entries the interval holds the exact value.
	short, _ := wordRows(2)
	part, _ := Words(short, text)
	if err := Correct(short, part, initial); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		lo, hi, exact := part[i].Corrected[0], part[i].Corrected[1], ws[i].Corrected[0]
		if !(lo <= exact+1e-6 && exact <= hi+1e-6 && lo < hi) {
			t.Errorf("word %d: [%v, %v] without %v", i, lo, hi, exact)
		}
	}
	d.Tokens.TopID = nil
	if err := Correct(d, ws, initial); fault.As(err) == nil {
		t.Errorf("no top-k columns: %v", err)
	}
}
