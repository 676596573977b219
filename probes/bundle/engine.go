package bundle

import (
	"context"
	"maps"
	"slices"
	"strings"

	"assay/probes"
)

// Engine does what needs the program's commands and, for scores, a model.
type Engine interface {
	// Model reads every byte of a checkpoint and says what it is.
	Model(ctx context.Context, path string) (Model, error)
	// Files lists the files of a data input, the named one first.
	Files(kind, path string) ([]SourceFile, error)
	// Pass plans the forward pass that a job needs of one checkpoint. Nothing is scored.
	Pass(ctx context.Context, j Job, of Place) (Pass, error)
	// Score makes the trace or the states of a pass at out, or goes on with them.
	// keep, where not nil, leaves out documents whose id it does not hold.
	Score(ctx context.Context, p Pass, out string, keep map[string]bool) error
	// Gather makes the evidence of a job that is not a trace or states.
	Gather(ctx context.Context, j Job) error
	// Command is the command line that repeats a job inside the bundle.
	Command(j Job) []string
	// Run computes the results of a job from its evidence and draws figures as
	// .svg files into the folder figures.
	Run(ctx context.Context, j Job, figures string) ([]probes.Result, error)
}

// SourceFile is a file of an input and the ending of its name in the bundle.
type SourceFile struct{ Path, Ending string }

// Place is where a model's evidence or a file lies: relative to the bundle, or
// absolute outside of it.
type Place struct {
	Role string // name of the input
	Path string
	Ckpt bool // a checkpoint
}

// Job is one test with every name resolved.
type Job struct {
	Item
	Number int    // from 1, in the order of the plan
	Dir    string // the bundle; "" while planning
	Reads  Reads
	Model  Place
	Others []Place             // the references
	Files  map[string]Place    // by slot of Data
	Kinds  map[string]string   // by slot of Data
	Flags  map[string][]string // settings; names of inputs are paths
	Inputs map[string][]string // the names of those inputs
	Seed   uint64
}

// DataName is the name of the input that a pass runs on; "" = none.
func (j Job) DataName() string {
	name := ""
	for _, slot := range slices.Sorted(maps.Keys(j.Item.Data)) {
		name = j.Item.Data[slot]
	}
	return name
}

// Stem begins the name of every file that a job writes.
func (j Job) Stem() string { return stem(j.Number, j.ID) }

// Pass is a forward pass of a checkpoint over documents.
type Pass struct {
	Run    string // identity of the measurement
	Text   string // digest of the documents
	Docs   int
	Tokens int64   // inputs of all windows
	FLOP   float64 // floating-point operations
	Memory int64   // bytes, forecast
	Job    Job     // whose command makes it
	Place  Place   // the checkpoint

	Weights, Tokenizer string // digests

	Moments bool // optional columns that a test needs
	TopK    int
}

// Reads says what a test computes from.
type Reads string

// What tests read.
const (
	ReadsTrace      Reads = "trace"
	ReadsStates     Reads = "states"
	ReadsCheckpoint Reads = "checkpoint"
	ReadsEvidence   Reads = "evidence" // answers that Gather collected
)

// passes reports whether shared forward passes make what a test reads.
func (r Reads) passes() bool { return r == ReadsTrace || r == ReadsStates }

// Variable is how a command line names what lies outside the bundle.
func Variable(role string) string {
	return "$INPUT_" + strings.ToUpper(strings.ReplaceAll(role, "-", "_"))
}
