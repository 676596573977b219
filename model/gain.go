package model

// FinalGain returns the gain of the final norm as it multiplies: 1 + w where the
// family stores w. It is nil where there is none, or where a projection stands
// between the norm and the output matrix (OPT 350m), whose columns it then does
// not scale. It reads from the checkpoint, which must still be open.
func (m *Model) FinalGain() ([]float32, error) {
	n := m.spec.Final
	if n == nil || !n.Gain || m.spec.Embed.Width != 0 {
		return nil, nil
	}
	g, err := m.source.get("final.g")
	if err == nil && n.PlusOne {
		plusOne(g)
	}
	return g, err
}
