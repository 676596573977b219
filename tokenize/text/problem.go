package text

import (
	"fmt"
	"strings"
)

const (
	printed = 50
	kept    = 100_000 // a file of nothing but faults must not fill the memory
)

// Problem is one fault of one row.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line"`   // from 1
	Column int    `json:"column"` // 1-based byte in the line
	Field  string `json:"field"`
	Found  string `json:"found"`
	Want   string `json:"want"`
}

func (p Problem) String() string {
	return fmt.Sprintf("%s:%d:%d: %s: found %s, want %s", p.File, p.Line, p.Column, p.Field, p.Found, p.Want)
}

// Problems are all faults of a file, in file order. List holds the first
// 100,000; Total counts them all. As an error it prints the first 50.
type Problems struct {
	List  []Problem `json:"list"`
	Total int       `json:"total"`
}

func (p *Problems) add(x Problem) {
	p.Total++
	if len(p.List) < kept {
		p.List = append(p.List, x)
	}
}

func (p *Problems) Error() string {
	var b strings.Builder
	for i, x := range p.List {
		if i == printed {
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(x.String())
	}
	if p.Total > printed {
		fmt.Fprintf(&b, "\nand %d more", p.Total-printed)
	}
	return b.String()
}
