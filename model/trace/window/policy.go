package window

// Policy names a rule and its numbers. It is part of the identity of a
// measurement: two traces compare only when their policies are equal. All
// numbers are explicit (WithDefaults fills them), so a plan is a function of
// the policy and three counts.
type Policy struct {
	Name      string  `json:"name"`
	Window    int     `json:"window,omitempty"`  // L, C or (oren) c: the most ids that one window feeds
	Stride    int     `json:"stride,omitempty"`  // s, for the strided rules
	Context   int     `json:"context,omitempty"` // c of lmeval-rolling
	BOS       string  `json:"bos,omitempty"`     // what was asked for: auto, always, never, id:N
	PrefixIDs []int32 `json:"prefix_ids"`        // the ids that were put in front; empty is []
	Seam      string  `json:"seam,omitempty"`    // joint or separate, when there is a context
	// MaxTokens cuts every document: positions from MaxTokens on are rows but
	// never targets. 0 does not cut.
	MaxTokens int `json:"max_tokens,omitempty"`
	// EachWindow puts the prefix before every window, which then holds as many
	// document ids fewer. No public tool does it.
	EachWindow bool `json:"bos_each_window,omitempty"`
}
