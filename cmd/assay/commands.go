package main

import "github.com/spf13/cobra"

// commands lists every subcommand, one per file, in the order of the help page.
func commands(a *app) []*cobra.Command {
	return []*cobra.Command{
		newInspect(a),
		newTokenize(a),
		newScore(a),
		newGenerate(a),
		newStates(a),
		newPerplexity(a),
		newPalimpsest(a),
		newGhost(a),
		newMembership(a),
		newAQI(a),
		newWeat(a),
		newWefat(a),
		newCompare(a),
		newProbe(a),
		newAudit(a),
		newVerify(a),
		newDoctor(a),
		newBench(a),
		newVersion(a),
	}
}
