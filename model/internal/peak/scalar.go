package peak

// scalar runs multiply-adds in eight chains without vector instructions.
func scalar() float64 {
	const loops = 1 << 14
	x := [8]float32{1, 1, 1, 1, 1, 1, 1, 1}
	for range loops {
		for i := range x {
			x[i] = x[i]*.5 + 1
		}
	}
	if x[0] == 0 {
		return 0
	}
	return loops * 8 * 2
}
