package ghost

import (
	"fmt"
	"iter"
	"strconv"
	"strings"

	"assay/internal/fault"
)

// Request is one text to score: Text given Context, as the document ID of a trace.
type Request struct{ ID, Context, Text string }

// seam splits wrapper and candidate the way the trace does: trailing spaces
// of the context belong to the text that follows it.
func seam(wrapper string) (context, separator string) {
	context = strings.TrimRight(wrapper, " ")
	if context != "" && !strings.HasSuffix(context, "\n") {
		separator = " "
	}
	return context, separator
}

// Requests yields every candidate of every secret after every wrapper of the
// plan, with document ids g<secret>/<candidate>/<wrapper>. The order says nothing
// about which candidate was planted. The texts show the secrets: score them on
// the auditor's own machine only.
func Requests(s *Set) iter.Seq[Request] {
	return func(yield func(Request) bool) {
		for k := range s.Secrets {
			for j := range s.Controls + 1 {
				text := s.Candidate(k, j)
				for w, wrapper := range s.wrappers(k) {
					ctx, sep := seam(wrapper)
					if !yield(Request{requestID(k, j, w), ctx, sep + text}) {
						return
					}
				}
			}
		}
	}
}

func requestID(k, j, w int) string { return fmt.Sprintf("g%d/%d/%d", k, j, w) }

// WordRequests yields, for every position of every planted secret, each word of
// the list as a continuation of the first wrapper and the words before it:
// document ids w<secret>/<position>/<word>. There are K n V of them.
func WordRequests(s *Set) (iter.Seq[Request], error) {
	if s.Kind != Passphrase {
		return nil, fault.Usagef("ghost: word ranks need kind %s, found %s", Passphrase, s.Kind)
	}
	return func(yield func(Request) bool) {
		for k := range s.Secrets {
			words := s.Symbols(k, s.Index(k))
			for i := range words {
				ctx, sep := seam(s.wrappers(k)[0])
				if i > 0 {
					ctx, sep = ctx+sep+strings.Join(words[:i], " "), " "
				}
				for v, w := range s.List.Words {
					if !yield(Request{fmt.Sprintf("w%d/%d/%d", k, i, v), ctx, sep + w}) {
						return
					}
				}
			}
		}
	}, nil
}

// RecallPrompts yields, for every planted secret, number k of last words of the
// plan and wrapper, the prompt that a model is asked to continue, as Context: the
// wrapper and all but the last k words. Ids are r<secret>/<k>/<wrapper>.
func RecallPrompts(s *Set) (iter.Seq[Request], error) {
	if s.Kind != Passphrase {
		return nil, fault.Usagef("ghost: recall needs kind %s, found %s", Passphrase, s.Kind)
	}
	return func(yield func(Request) bool) {
		for secret := range s.Secrets {
			words := s.Symbols(secret, s.Index(secret))
			for _, k := range s.Plan.RecallK {
				for w, wrapper := range s.wrappers(secret) {
					ctx, sep := seam(wrapper)
					prompt := ctx + sep + strings.Join(words[:max(0, len(words)-k)], " ")
					if !yield(Request{ID: fmt.Sprintf("r%d/%d/%d", secret, k, w), Context: prompt}) {
						return
					}
				}
			}
		}
	}, nil
}

// parseID reads "<letter>a/b/c".
func parseID(letter byte, id string) (v [3]int, ok bool) {
	if id == "" || id[0] != letter {
		return v, false
	}
	f := strings.Split(id[1:], "/")
	if len(f) != 3 {
		return v, false
	}
	for i, s := range f {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || strconv.Itoa(n) != s {
			return v, false
		}
		v[i] = n
	}
	return v, true
}
