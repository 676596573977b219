// Command assay audits open-weight language-model checkpoints offline.
//
// Each subcommand is one file of this package; it parses flags, calls a library
// package and prints. Results go to standard output, everything else to
// standard error. Exit codes are those of package assay/internal/fault.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
