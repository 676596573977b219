package model

import (
	"fmt"
	"runtime/debug"

	"assay/internal/fault"
)

// edge turns a panic into an error at the package's edge. gomlx reports misuse
// while a graph is built by panicking; nothing of that may reach a caller.
func edge(what string, err *error) {
	if p := recover(); p != nil {
		e, ok := p.(error)
		if !ok {
			e = fmt.Errorf("%v", p)
		}
		*err = fault.New(fault.Input, "internal", "model: %s: panic: %w", what, e).
			Hint("this is a bug; please report it with:\n%s", debug.Stack())
	}
}
