package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// commit is set by the linker.
var commit = "unknown"

// build describes how this binary was made.
type build struct {
	Program    string   `json:"program"`
	Version    string   `json:"version"`
	Commit     string   `json:"commit"`
	Go         string   `json:"go"`
	Platform   string   `json:"platform"`
	Tags       []string `json:"tags"`
	Experiment string   `json:"experiment"`
}

const version = "0.1.0"

func thisBuild() build {
	b := build{Program: "assay", Version: version, Commit: commit, Go: runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH, Tags: []string{}}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "-tags":
			b.Tags = strings.FieldsFunc(s.Value, func(r rune) bool { return r == ',' || r == ' ' })
			slices.Sort(b.Tags)
		case "GOEXPERIMENT":
			b.Experiment = s.Value
		}
	}
	return b
}

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print version, commit, Go version, build tags and experiment",
		Example: "  assay version --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b := thisBuild()
			return a.print(b, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "assay %s (%s) %s %s tags=%s experiment=%s\n", b.Version, b.Commit, b.Go, b.Platform,
					orNone(strings.Join(b.Tags, ",")), orNone(b.Experiment))
				return err
			})
		},
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
