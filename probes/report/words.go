package report

import (
	"strings"

	"assay/probes"
)

// tierWords are the badges: letter and words, never colour alone.
func tierWords(t probes.Tier) string {
	return map[probes.Tier]string{
		probes.TierA: "exact under the auditor's own randomisation",
		probes.TierB: "valid under a stated assumption that was checked",
		probes.TierC: "descriptive, no p-value is valid",
	}[t]
}

// questions are what each test asks, by the longest prefix of its name.
func question(test string) string {
	best, text := 0, "What does this test measure? See its documentation (assay help)."
	for _, q := range [][2]string{
		{"perplexity", "How well does the checkpoint predict these texts?"},
		{"perplexity.vs", "Which of two checkpoints predicts these texts better, and by how much?"},
		{"ghost", "Does the checkpoint rank strings that were planted in training data above controls drawn in the same way?"},
		{"palimpsest", "Does the checkpoint depend on the order in which a training run saw its data?"},
		{"membership", "Can texts that are claimed to be training data be told from others by what the checkpoint says of them, beyond what can be told without it?"},
		{"weat", "Do two groups of words stand at different distances from two sets of attributes in the checkpoint's vectors?"},
		{"aqi", "How well do the checkpoint's hidden states separate items of different labels?"},
		{"compare", "Are two checkpoints the same, and if not, how far apart are they?"},
		{"probe", "Does the checkpoint's behaviour change when only the group changes?"},
	} {
		if (test == q[0] || strings.HasPrefix(test, q[0]+".") || strings.HasPrefix(test, q[0]+" ")) && len(q[0]) > best {
			best, text = len(q[0]), q[1]
		}
	}
	return text
}
