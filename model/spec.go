package model

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"assay/weights"
)

// Float is a float64 whose JSON form is its shortest decimal string, so that
// the digest of a Spec does not depend on how a config.json wrote the number.
type Float float64

// MarshalJSON writes the shortest decimal that reads back to the same float64.
func (f Float) MarshalJSON() ([]byte, error) {
	return strconv.AppendQuote(nil, strconv.FormatFloat(float64(f), 'g', -1, 64)), nil
}

// Spec is the mathematics of one checkpoint: every number that the forward pass
// reads, with defaults filled in. It is pure data; equal Specs compute equal
// functions of the weights.
type Spec struct {
	Family    string  `json:"family"`
	Vocab     int     `json:"vocab"`
	Width     int     `json:"width"`
	Positions int     `json:"positions,omitempty"` // longest window; 0 = no limit
	Embed     Embed   `json:"embed"`
	Kinds     []Block `json:"kinds"`  // distinct blocks, in order of first use
	Layers    []int   `json:"layers"` // index into Kinds of each layer
	Final     *Norm   `json:"final,omitempty"`
	Head      Head    `json:"head"`

	warnings []weights.Warning // about the configuration; no part of the digest
	// headOptional: the configuration names no class with an output matrix, so
	// the stored tensors decide.
	headOptional bool
}

// Embed is what happens between ids and the input of block 0.
type Embed struct {
	Scale   Float    `json:"scale,omitempty"` // multiplies the rows; 0 = 1
	Width   int      `json:"width,omitempty"` // width of the rows where it is not Spec.Width (OPT 350m)
	Learned *Learned `json:"learned,omitempty"`
	Types   int      `json:"types,omitempty"` // rows of the table of token types; 0 = none
	Norm    *Norm    `json:"norm,omitempty"`
}

// Learned is a table of position vectors; position t reads row t + Offset. Where
// Pad is set, an input with that id reads row Pad and is not counted (RoBERTa).
type Learned struct {
	Rows   int  `json:"rows"`
	Offset int  `json:"offset,omitempty"`
	Pad    *int `json:"pad,omitempty"`
}

// Norm kinds.
const (
	LayerNorm = "layer" // (x - mean) / sqrt(var + eps)
	RMSNorm   = "rms"   // x / sqrt(mean x^2 + eps)
)

// Norm is one normalisation over the last axis. Where PlusOne is set the stored
// gain w multiplies as 1 + w.
type Norm struct {
	Kind    string `json:"kind"`
	Eps     Float  `json:"eps"`
	Gain    bool   `json:"gain,omitempty"`
	Bias    bool   `json:"bias,omitempty"`
	PlusOne bool   `json:"plus_one,omitempty"`
}

// Block forms; N is a norm, A attention, M the MLP.
const (
	Seq      = "seq"      // x + A(N1 x), then x + M(N2 x)
	Par      = "par"      // x + A(N1 x) + M(N2 x)
	Par1     = "par1"     // x + A(N1 x) + M(N1 x)
	Post     = "post"     // x + N1(A(x)), then x + N2(M(x))
	Sandwich = "sandwich" // x + N2(A(N1 x)), then x + N4(M(N3 x))
	PostNorm = "bert"     // N1(x + A(x)), then N2(x + M(x))
)

// norms is the number of norms of each form.
var norms = map[string]int{Seq: 2, Par: 2, Par1: 1, Post: 2, Sandwich: 4, PostNorm: 2}

// Block is one layer.
type Block struct {
	Form string `json:"form"`
	Norm Norm   `json:"norm"` // of all norms of the block
	Attn Attn   `json:"attn"`
	MLP  MLP    `json:"mlp"`
	// Residual multiplies A(.) and M(.) before they are added (Granite); 0 = 1.
	Residual Float `json:"residual,omitempty"`
	// FromNorm adds A and M to N(x) instead of x (BLOOM's
	// apply_residual_connection_post_layernorm).
	FromNorm bool `json:"from_norm,omitempty"`
}

// Attn is one attention: projections, clip, q/k norm, RoPE, scale, bias, cap,
// mask, softmax, output projection.
type Attn struct {
	Heads   int   `json:"heads"`
	KVHeads int   `json:"kv_heads"`
	HeadDim int   `json:"head_dim"`
	Scale   Float `json:"scale"`            // multiplies q.k
	Bias    bool  `json:"bias,omitempty"`   // on q, k and v
	BiasO   bool  `json:"bias_o,omitempty"` // on the output projection
	Clip    Float `json:"clip,omitempty"`   // q, k, v cut to [-Clip, Clip]; 0 = none
	Cap     Float `json:"cap,omitempty"`    // scores become Cap tanh(s/Cap); 0 = none
	Window  int   `json:"window,omitempty"` // key j is seen by i when i-Window < j <= i; 0 = all j <= i
	// Bidirectional: every input sees every input (encoders).
	Bidirectional bool    `json:"bidirectional,omitempty"`
	QKNorm        *QKNorm `json:"qk_norm,omitempty"`
	Rope          *Rope   `json:"rope,omitempty"`
	ALiBi         *ALiBi  `json:"alibi,omitempty"`
}

// Scopes of a norm on q and k.
const (
	ScopeHead  = "head"  // one gain of HeadDim, shared by the heads
	ScopeHeads = "heads" // over HeadDim, a gain of its own per head
	ScopeWhole = "whole" // over all heads together
)

// QKNorm normalises q and k before RoPE.
type QKNorm struct {
	Norm
	Scope string `json:"scope"`
	// First applies the norm before the clip (OLMoE).
	First bool `json:"first,omitempty"`
}

// ALiBi adds slope(head) x key index x Scale to the scores. Rounded rounds the
// product slope x index to bfloat16 first, as transformers does for Falcon.
type ALiBi struct {
	Scale   Float `json:"scale"`
	Rounded bool  `json:"rounded,omitempty"`
}

// Activations.
const (
	GELU     = "gelu"      // x Phi(x), by erf
	GELUTanh = "gelu_tanh" // the tanh form
	SiLU     = "silu"
	ReLU     = "relu"
)

// MLP is down(act(up x)) or, gated, down(act(gate x) * up x). With Experts it is
// one of them, of which each token takes a few.
type MLP struct {
	Width    int    `json:"width"` // of one expert
	Act      string `json:"act"`
	Gated    bool   `json:"gated,omitempty"`
	Bias     bool   `json:"bias,omitempty"`      // on up and gate
	BiasDown bool   `json:"bias_down,omitempty"` // on down
	// Experts: the output is the weighted sum of the chosen experts' outputs.
	Experts *Experts `json:"experts,omitempty"`
}

// Head turns the last hidden state into logits.
type Head struct {
	Tied  bool  `json:"tied,omitempty"`
	Bias  bool  `json:"bias,omitempty"`
	Scale Float `json:"scale,omitempty"` // multiplies the logits; 0 = 1
	Cap   Float `json:"cap,omitempty"`   // logits become Cap tanh(x/Cap); 0 = none
	// Transform stands before the output matrix (masked language models).
	Transform *Transform `json:"transform,omitempty"`
	// None: the checkpoint has no output matrix and gives hidden states alone.
	None bool `json:"none,omitempty"`
}

// Transform is N(act(W x + b)) of a masked language model's head.
type Transform struct {
	Act  string `json:"act"`
	Norm Norm   `json:"norm"`
}

// Encoder reports whether inputs see what follows them, so that a token is
// predicted at its own place and not at the one before.
func (s *Spec) Encoder() bool {
	return slices.ContainsFunc(s.Kinds, func(b Block) bool { return b.Attn.Bidirectional })
}

// headWidth is the width of the vectors that the output matrix multiplies.
func (s *Spec) headWidth() int {
	if s.Embed.Width != 0 {
		return s.Embed.Width
	}
	return s.Width
}

// Canonical returns the canonical JSON of s: keys sorted by byte, no spaces, no
// HTML escapes, absent fields left out, floats as strings.
func (s *Spec) Canonical() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return nil, fmt.Errorf("model: spec: %w", err)
	}
	// A map marshals with sorted keys; UseNumber keeps integers as they are.
	var v any
	d := json.NewDecoder(&b)
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("model: spec: %w", err)
	}
	var out bytes.Buffer
	e = json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("model: spec: %w", err)
	}
	return bytes.TrimRight(out.Bytes(), "\n"), nil
}

// Digest returns the config digest, "sha256:" and 64 hex digits of the canonical JSON.
func (s *Spec) Digest() (string, error) {
	b, err := s.Canonical()
	if err != nil {
		return "", err
	}
	h := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(h[:]), nil
}

// Block returns the block of layer l.
func (s *Spec) Block(l int) *Block { return &s.Kinds[s.Layers[l]] }

// repeat adds n layers; a layer whose block equals an earlier one shares its kind.
func (s *Spec) repeat(n int, block func(l int) Block) error {
	seen := map[string]int{} // by JSON: a configuration may ask for thousands of kinds
	kind := func(b *Block) (string, error) {
		k, err := json.Marshal(b)
		if err != nil {
			return "", fmt.Errorf("model: spec: %w", err)
		}
		return string(k), nil
	}
	for i := range s.Kinds {
		k, err := kind(&s.Kinds[i])
		if err != nil {
			return err
		}
		seen[k] = i
	}
	for l := range min(n, maxLayers) {
		b := block(l)
		k, err := kind(&b)
		if err != nil {
			return err
		}
		i, ok := seen[k]
		if !ok {
			i = len(s.Kinds)
			seen[k] = i
			s.Kinds = append(s.Kinds, b)
		}
		s.Layers = append(s.Layers, i)
	}
	return nil
}
