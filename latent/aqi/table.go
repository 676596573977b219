package aqi

import "strconv"

// CurveHeader names the columns of CurveRow.Fields.
func CurveHeader() []string {
	return []string{"view", "layer", "post", "index", "value", "lo", "hi", "log10_p", "null_mean", "null_q95"}
}

// Fields are the row's cells in the order of CurveHeader; what there is not is empty.
func (r CurveRow) Fields() []string {
	return []string{r.View, r.Layer, r.Post, r.Index, text(r.Value), text(r.Lo), text(r.Hi), text(r.Log10P), text(r.NullMean), text(r.NullQ)}
}

// ItemHeader names the columns of ItemRow.Fields.
func ItemHeader() []string { return []string{"id", "label", "projection", "silhouette", "tokens"} }

// Fields are the row's cells in the order of ItemHeader.
func (r ItemRow) Fields() []string {
	return []string{r.ID, r.Label, text(r.Projection), text(r.Silhouette), strconv.Itoa(r.Tokens)}
}

// text is the shortest form that reads back as the same number.
func text(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'g', -1, 64)
}
