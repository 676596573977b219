package model

// Forecast estimates the memory of scoring windows of up to T inputs in batches of
// batchTokens (0 = the usual number) before anything is loaded: one batch at a
// time, weights in float32.
func (d *Description) Forecast(T, batchTokens int) Forecast {
	if batchTokens <= 0 {
		batchTokens = DefaultBatchTokens
	}
	return d.Spec.forecast(d.Spec.weightBytes(d.inventory, false), batchTokens, 1, T)
}
