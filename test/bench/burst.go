package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// manyAtOnce is how many pods -scale starts at the same time.
const manyAtOnce = 1000

// burst sends many ADDs at once to a node without a bpffs, then as many DELs. It
// returns a row for each.
func (l *lab) burst() (rows string, err error) {
	if err := l.hide(); err != nil {
		return "", err
	}
	p := l.newPod(created1)
	for _, verb := range []string{"ADD", "DEL"} {
		calls := make([]command, manyAtOnce)
		for i := range calls {
			p.number = i
			calls[i] = p.call("bpffs", verb)
		}
		took, all, err := runAtOnce(calls)
		if err != nil {
			return "", err
		}
		slices.Sort(all)
		rows += fmt.Sprintf("| %s %ss | %s | %s |\n", thousands(manyAtOnce), verb, seconds(percentile(all, 50)), seconds(took))
		want := map[string]int{"ADD": manyAtOnce, "DEL": 0}[verb]
		if err := wantEndpoints(want); err != nil {
			return "", fmt.Errorf("after %d %ss at once: %w", manyAtOnce, verb, err)
		}
	}
	return rows, l.hide()
}

// wantEndpoints wants so many endpoints in the one bpffs at the default root. Each has
// an ID of its own, or it would not be counted.
func wantEndpoints(want int) error {
	table, err := mountTable()
	if err != nil {
		return err
	}
	mounts := len(slices.DeleteFunc(table, func(line string) bool { return !strings.Contains(line, " "+bpffs.DefaultRoot+" ") }))
	e, err := bpffs.OpenEndpoints(context.Background(), bpffs.DefaultRoot)
	if err != nil {
		return err
	}
	defer e.Close()
	ids, err := e.IDs(context.Background())
	if err == nil && (len(ids) != want || mounts != 1) {
		err = fmt.Errorf("%d endpoints in %d mounts, want %d in one", len(ids), mounts, want)
	}
	return err
}
