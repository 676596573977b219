package pairs

import (
	"fmt"
	"io"
	"strconv"

	"assay/probes/assoc"
)

// Pair is two sentences that differ in the group; More is the more
// stereotyped one.
type Pair struct {
	ID, More, Less string
	Group          string // bias type; "" if none
	Direction      string // CrowS: stereo or antistereo; reported apart, never flipped
	Cluster        string // items of one cluster are resampled together; "" is the item itself
	Referent       *Referent
}

// ReadCrows reads crows_pairs_anonymized.csv as published. sent_more is the
// more stereotyped sentence for both values of stereo_antistereo.
func ReadCrows(r io.Reader, file string) ([]Pair, error) {
	rep := &assoc.Report{File: file}
	var out []Pair
	err := assoc.Records(r, ',', rep, []string{"sent_more", "sent_less", "stereo_antistereo", "bias_type"},
		[]string{"", "annotations", "anon_writer", "anon_annotators"}, func(c assoc.Record) {
			p := Pair{ID: c.Get(""), More: c.Text("sent_more"), Less: c.Text("sent_less"), Direction: c.OneOf("stereo_antistereo", "stereo", "antistereo"), Group: c.Text("bias_type")}
			if p.ID == "" {
				p.ID = strconv.Itoa(len(out))
			}
			if p.More == p.Less {
				c.Fault("sent_less", "another sentence than sent_more")
			}
			out = append(out, p)
		})
	return finish(out, rep, err)
}

// ReadContrasts reads the user's pairs, JSON Lines: id, more, less, group?,
// set?, tags? (ignored).
func ReadContrasts(r io.Reader, file string) ([]Pair, error) {
	rep := &assoc.Report{File: file}
	var out []Pair
	seen := map[string]int{}
	err := assoc.Lines(r, rep, []string{"id", "more", "less", "group", "set", "tags"}, func(l assoc.Line) {
		p := Pair{ID: l.Text("id"), More: l.Text("more"), Less: l.Text("less")}
		if l.Has("group") {
			p.Group = l.Text("group")
		}
		if l.Has("set") {
			p.Cluster = l.Text("set")
		}
		if p.More == p.Less {
			l.Fault("less", strconv.Quote(p.Less), "another sentence than more")
		}
		if n, again := seen[p.ID]; again {
			l.Fault("id", strconv.Quote(p.ID), fmt.Sprintf("an id of its own: line %d has it", n))
		}
		seen[p.ID] = l.N
		out = append(out, p)
	})
	return finish(out, rep, err)
}

func finish(out []Pair, rep *assoc.Report, err error) ([]Pair, error) {
	if err == nil {
		err = rep.Err()
	}
	if err == nil && len(out) == 0 {
		rep.Add(1, 1, "file", "no pairs", "one or more")
		err = rep.Err()
	}
	return out, err
}
