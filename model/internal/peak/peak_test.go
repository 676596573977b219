package peak

import (
	"fmt"
	"testing"
	"time"
)

func TestFMA(t *testing.T) {
	r := FMA(1, 20*time.Millisecond)
	if r.GFlops < 0.05 || r.How == "" {
		t.Fatalf("FMA = %+v", r)
	}
	t.Logf("%+v, %d MB", r, RSS()>>20)
}

func Example() {
	r := FMA(1, time.Millisecond)
	fmt.Println(r.GFlops > 0)
	// Output: true
}
