package model

import (
	"fmt"

	"assay/internal/fault"
)

// Window is one forward pass over ids. Target j is predicted from input row
// len(IDs) - len(Targets) + j, which is how a planner's window over a sequence S
// reads: IDs = S[Begin:End-1], Targets = S[First:End]. Where Rows is not nil,
// target j is predicted from row Rows[j] instead.
//
// An encoder predicts a token at its own place, so its windows need Rows, and
// the inputs at those rows are what stands in the place of the token: usually
// the mask token.
type Window struct {
	Doc, Index   int // carried, for the caller
	IDs, Targets []int32
	Rows         []int32
	Types        []int32 // token type of each input (BERT); nil = all 0
	// Small asks for a batch of the fewest rows, shared with other such windows alone.
	Small bool
}

// row is the input row that predicts target j.
func (w *Window) row(j int) int {
	if w.Rows != nil {
		return int(w.Rows[j])
	}
	return len(w.IDs) - len(w.Targets) + j
}

// RowError says where in the input a scored row failed. Row is the target's
// index in Window.Targets, or the input's index in Window.IDs where Input is set.
type RowError struct {
	Doc, Window, Row int
	Input            bool
	ID               int32
	What             string
}

func (e *RowError) Error() string {
	kind := "target"
	if e.Input {
		kind = "input"
	}
	return fmt.Sprintf("model: doc %d window %d %s %d (id %d): %s", e.Doc, e.Window, kind, e.Row, e.ID, e.What)
}

// check refuses a window that the model cannot run, before any graph does:
// embedding lookups clamp ids silently.
func (m *Model) check(w *Window) error {
	bad := func(code string, e *RowError) error {
		e.Doc, e.Window = w.Doc, w.Index
		return &fault.Fault{Class: fault.Input, Code: code, Err: e}
	}
	n := len(w.IDs)
	if n == 0 {
		return fault.Inputf("window", "model: doc %d window %d: no input ids, want at least 1", w.Doc, w.Index)
	}
	if p := m.spec.Positions; p > 0 && n > p {
		return fault.Inputf("window", "model: doc %d window %d: %d inputs, the model has %d positions", w.Doc, w.Index, n, p).
			Hint("choose a window policy with windows of at most %d tokens", p)
	}
	if w.Rows != nil && len(w.Rows) != len(w.Targets) {
		return fault.Inputf("window", "model: doc %d window %d: %d rows for %d targets", w.Doc, w.Index, len(w.Rows), len(w.Targets))
	}
	if len(w.Targets) > n {
		return fault.Inputf("window", "model: doc %d window %d: %d targets for %d inputs", w.Doc, w.Index, len(w.Targets), n)
	}
	if m.spec.Encoder() && len(w.Targets) > 0 && w.Rows == nil {
		return ErrEncoder(m.spec.Family)
	}
	if w.Types != nil && len(w.Types) != n {
		return fault.Inputf("window", "model: doc %d window %d: %d token types for %d inputs", w.Doc, w.Index, len(w.Types), n)
	}
	for i, x := range w.Types {
		if x != 0 && (x < 0 || int(x) >= m.spec.Embed.Types) {
			return fault.Inputf("window", "model: doc %d window %d: input %d has token type %d, the model knows %d types", w.Doc, w.Index, i, x, max(1, m.spec.Embed.Types))
		}
	}
	for i, id := range w.IDs {
		if id < 0 || int(id) >= m.spec.Vocab {
			return bad("id", &RowError{Row: i, Input: true, ID: id, What: fmt.Sprintf("outside the vocabulary, want 0 to %d", m.spec.Vocab-1)})
		}
	}
	for j, id := range w.Targets {
		if id < 0 || int(id) >= m.spec.Vocab {
			return bad("id", &RowError{Row: j, ID: id, What: fmt.Sprintf("outside the vocabulary, want 0 to %d", m.spec.Vocab-1)})
		}
		if r := w.row(j); r < 0 || r >= n {
			return bad("window", &RowError{Row: j, ID: id, What: fmt.Sprintf("predicted from row %d of %d inputs", r, n)})
		}
	}
	return nil
}
