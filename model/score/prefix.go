package score

import (
	"strconv"
	"strings"

	"assay/internal/fault"
	"assay/model/trace"
	"assay/model/trace/window"
)

// Settle resolves --bos of a policy into the ids that are put in front of every
// document, following what the tool that the policy is named after does. Input
// that is ids already keeps them as they are unless an id is asked for: what
// stood before them is part of the ids or is not known.
//
// enc may be nil when the input is ids.
func Settle(p window.Policy, enc Encoder, idsInput bool, vocab int) (window.Policy, []trace.Warning, error) {
	asked := p.BOS
	if asked == "" {
		asked = "auto"
	}
	var ids []int32
	var ws []trace.Warning
	switch {
	case asked == "never":
	case asked == "always":
		id, ok := bosOf(enc)
		if !ok {
			return p, nil, fault.Usagef("score: --bos always: the tokenizer has no BOS token").Hint("name an id with --bos id:N, or use --bos auto")
		}
		ids = []int32{id}
	case strings.HasPrefix(asked, "id:"):
		n, err := strconv.ParseInt(asked[3:], 10, 32)
		if err != nil || n < 0 || int(n) >= vocab {
			return p, nil, fault.Usagef("score: --bos %s: want id:N with N from 0 to %d", asked, vocab-1)
		}
		ids = []int32{int32(n)}
	case asked != "auto":
		return p, nil, fault.Usagef("score: --bos %q: want auto, always, never or id:N", asked)
	case p.Name == "lmeval-rolling":
		id, ok := bosOf(enc)
		if !ok && enc != nil {
			if id, ok = enc.EOS(); ok {
				ws = append(ws, trace.Warning{Code: "eos-as-prefix", Text: "the tokenizer has no BOS: lm-evaluation-harness puts EOS in front, and so did this run"})
			}
		}
		if !ok {
			return p, nil, fault.Usagef("score: policy lmeval-rolling needs one id in front, and the tokenizer has neither BOS nor EOS").Hint("name it with --bos id:N")
		}
		ids = []int32{id}
	case idsInput || enc == nil:
	case p.Name == "llamacpp" || p.Name == "llamacpp-stride":
		if add, said := enc.AddBOS(); add || !said {
			if id, ok := bosOf(enc); ok && (add || templateStarts(enc, id)) {
				ids = []int32{id}
			}
		}
	default:
		prefix, _ := enc.Template()
		ids = prefix
	}
	p.PrefixIDs = append([]int32{}, ids...)
	p.BOS = asked
	if len(ids) == 0 {
		p.BOS = "none"
	}
	if p.Name == window.Masked {
		p.SuffixIDs = Suffix(enc, idsInput)
		var err error
		if p.MaskID, err = mask(p, enc, vocab); err != nil {
			return p, nil, err
		}
	}
	return p, ws, nil
}

// Suffix is what an encoder is fed behind a text: the ids that the tokenizer's
// template puts there. Input that is ids already keeps them as they are.
func Suffix(enc Encoder, idsInput bool) []int32 {
	if idsInput || enc == nil {
		return nil
	}
	_, suffix := enc.Template()
	return suffix
}

// mask is the id that stands for a hidden token: the one asked for, else the
// tokenizer's.
func mask(p window.Policy, enc Encoder, vocab int) (*int32, error) {
	if p.MaskID != nil {
		if id := *p.MaskID; id < 0 || int(id) >= vocab {
			return nil, fault.Usagef("score: mask id %d: want 0 to %d", id, vocab-1)
		}
		return p.MaskID, nil
	}
	if e, ok := enc.(interface{ Mask() (int32, bool) }); ok {
		if id, ok := e.Mask(); ok {
			return &id, nil
		}
	}
	return nil, fault.Usagef("score: policy %s: no tokenizer names a mask token", p.Name).Hint("name its id with --mask-id N")
}

func bosOf(enc Encoder) (int32, bool) {
	if enc == nil {
		return 0, false
	}
	return enc.BOS()
}

func templateStarts(enc Encoder, id int32) bool {
	prefix, _ := enc.Template()
	return len(prefix) > 0 && prefix[0] == id
}
